import { getHeapSnapshot } from 'node:v8';
import { text } from 'node:stream/consumers';

/** The number of objects of a type, and their own size in bytes. */
export interface HeapShare {
  readonly type: string;
  readonly count: number;
  readonly bytes: number;
}

interface Snapshot {
  readonly snapshot: {
    readonly meta: { readonly node_fields: string[]; readonly node_types: [string[]] };
  };
  readonly nodes: number[];
  readonly strings: string[];
}

/** Resolves with the heap's objects by type. Takes a heap snapshot: for hundreds of connections, not for thousands. */
export async function heapByType(): Promise<HeapShare[]> {
  const { snapshot, nodes, strings } = JSON.parse(await text(getHeapSnapshot())) as Snapshot;
  const { node_fields: fields, node_types: types } = snapshot.meta;
  const [typeAt, nameAt, sizeAt] = ['type', 'name', 'self_size'].map((field) =>
    fields.indexOf(field),
  ) as [number, number, number];
  const shares = new Map<string, { count: number; bytes: number }>();
  for (let node = 0; node < nodes.length; node += fields.length) {
    const kind = types[0][nodes[node + typeAt]!]!;
    const type = labelOf(kind, strings[nodes[node + nameAt]!]!);
    const share = shares.get(type) ?? { count: 0, bytes: 0 };
    share.count += 1;
    share.bytes += nodes[node + sizeAt]!;
    shares.set(type, share);
  }
  return [...shares].map(([type, { count, bytes }]) => ({ type, count, bytes }));
}

// Objects and functions are listed by name, strings and numbers by kind only.
function labelOf(kind: string, name: string): string {
  return ['object', 'closure', 'hidden', 'array', 'native', 'code'].includes(kind)
    ? `${kind} ${name.slice(0, 60)}`
    : kind;
}
