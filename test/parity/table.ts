import type { Difference } from './differences.js';

const NAMES = { stock: '', plain: 'plain', isolated: 'isolated', scoped: 'isolated' } as const;

/** Returns the table of docs/compatibility.md. */
export function tableOf(differences: readonly Difference[]): string {
  const rows = differences.map(({ what, forms, stock, here, why }) => {
    const gateways = [...new Set(forms.map((form) => NAMES[form]))].join(', ');
    return [what, gateways, stock, here, why];
  });
  const lines = [['What', 'Gateways', 'On `WsAdapter`', 'Here', 'Why'], ...rows].map(
    (cells) => `| ${cells.join(' | ')} |`,
  );
  return [lines[0], '| --- | --- | --- | --- | --- |', ...lines.slice(1)].join('\n');
}
