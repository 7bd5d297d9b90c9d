import type { ContextId } from '@nestjs/core';

import type { InstanceWrapper } from './nest-internals.js';
import { holdingScope } from './scope-instances.js';

/**
 * The instances a transient provider has in a scope, without making one: one for each provider that injects it. Which
 * provider that is stands in `inquirers`, by its id. What was made for a provider that connections share is left out.
 */
export function transientInstances(
  wrapper: InstanceWrapper,
  contextId: ContextId,
  inquirers: ReadonlyMap<string, InstanceWrapper>,
): unknown[] {
  const instances: unknown[] = [];
  for (const [inquirerId, byScope] of transientHosts(wrapper)) {
    const host = byScope.get(contextId);
    // Nest also makes hosts of transient providers whose constructor it never calls.
    if (!host?.isConstructorCalled) continue;
    const inquirer = inquirers.get(inquirerId);
    if (!inquirer || isOwnInquirer(inquirer, contextId, inquirers)) instances.push(host.instance);
  }
  return instances;
}

// A durable provider may be shared by connections, and with it what was made for it in the scope of the first of them.
// A transient one is as shared as the provider that it was made for.
function isOwnInquirer(
  inquirer: InstanceWrapper,
  contextId: ContextId,
  inquirers: ReadonlyMap<string, InstanceWrapper>,
): boolean {
  const isOwn = (wrapper: InstanceWrapper | undefined): boolean =>
    !wrapper || holdingScope(wrapper, contextId) === contextId;
  if (!inquirer.isTransient) return isOwn(inquirer);
  return [...transientHosts(inquirer)].some(
    ([id, byScope]) => byScope.has(contextId) && isOwn(inquirers.get(id)),
  );
}

type TransientHosts = ReadonlyMap<
  string,
  WeakMap<object, { instance: unknown; isConstructorCalled?: boolean }>
>;

function transientHosts(wrapper: InstanceWrapper): TransientHosts {
  return (wrapper as unknown as { transientMap?: TransientHosts }).transientMap ?? new Map();
}
