import type { Probe } from './probe.js';

/** A row of the page: the finding on each side. */
export interface Row {
  readonly probe: Probe;
  readonly stock: string;
  readonly isolated: string;
}

/** Returns the page with the findings. */
export function pageOf(rows: readonly Row[], nest: string): string {
  const lines = rows.map(
    ({ probe, stock, isolated }) => `| ${probe.event} | ${stock} | ${isolated} |`,
  );
  return `# Why

What happens to the same small application, with \`@WebSocketGateway()\` on Nest's own \`WsAdapter\` and with \`@IsolatedGateway()\`. Every cell is the finding of a run: each application has its own process, a real server and a real client. \`npm run why\` runs the probes again and writes this page. The tests run them too.

Nest is \`@nestjs/websockets\` ${nest}. The page has no rows for cases in which it behaves well.

<!-- why -->

| What happens | \`@WebSocketGateway()\` | \`@IsolatedGateway()\` |
| --- | --- | --- |
${lines.join('\n')}

<!-- /why -->

The probes are in [\`why/probes\`](../why/probes). The two sides differ only in their decorator and in the imported module.
`;
}
