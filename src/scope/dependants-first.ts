import type { InstanceWrapper } from '../nest/nest-internals.js';

/** Sorts so that dependants come before their dependencies; independent items come in reverse order. */
export function dependantsFirst<Item extends { readonly wrapper: InstanceWrapper }>(
  items: readonly Item[],
): Item[] {
  if (items.length < 2) return [...items];
  const byWrapper = groupByWrapper(items);
  const sorted: Item[] = [];
  const visited = new Set<InstanceWrapper>();
  // Depth first: a wrapper is added after all its dependencies; the result is reversed.
  const visit = (wrapper: InstanceWrapper): void => {
    if (visited.has(wrapper)) return;
    visited.add(wrapper);
    for (const dependency of dependenciesOf(wrapper)) visit(dependency);
    sorted.push(...(byWrapper.get(wrapper) ?? []));
  };
  for (const { wrapper } of items) visit(wrapper);
  return sorted.toReversed();
}

// A transient provider has an instance for each provider that injects it.
function groupByWrapper<Item extends { readonly wrapper: InstanceWrapper }>(
  items: readonly Item[],
): Map<InstanceWrapper, Item[]> {
  const groups = new Map<InstanceWrapper, Item[]>();
  for (const item of items) {
    const group = groups.get(item.wrapper);
    if (group) group.push(item);
    else groups.set(item.wrapper, [item]);
  }
  return groups;
}

function dependenciesOf(wrapper: InstanceWrapper): InstanceWrapper[] {
  const parameters = wrapper.getCtorMetadata() ?? [];
  const properties = (wrapper.getPropertiesMetadata() ?? []).map((entry) => entry.wrapper);
  // Nest fills the list by index: a parameter that was not resolved yet leaves a hole.
  return [...parameters, ...properties].filter((dependency) => dependency !== undefined);
}
