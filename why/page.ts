import type { Probe } from './probe.js';

/** One row: what happened on either side. */
export interface Row {
  readonly probe: Probe;
  readonly stock: string;
  readonly isolated: string;
}

/** The page, from what was found. */
export function pageOf(rows: readonly Row[], nest: string): string {
  const lines = rows.map(
    ({ probe, stock, isolated }) => `| ${probe.event} | ${stock} | ${isolated} |`,
  );
  return `# Why

What happens to the same small application, with \`@WebSocketGateway()\` on Nest's own \`WsAdapter\` and with \`@IsolatedGateway()\`. Every cell is what a run found: each application has a process of its own, a real server and a real client. \`npm run why\` runs them again and writes this page; the tests run them, too.

Nest is \`@nestjs/websockets\` ${nest}. Where it behaves as one would wish, there is no row.

<!-- why -->

| What happens | \`@WebSocketGateway()\` | \`@IsolatedGateway()\` |
| --- | --- | --- |
${lines.join('\n')}

<!-- /why -->

The probes are in [\`why/probes\`](../why/probes); the two sides differ in their decorator and in the imported module, nothing else.
`;
}
