import type { ContextId } from '@nestjs/core';

import type { InstanceWrapper } from './nest-internals.js';
import { holdingScope } from './scope-instances.js';

/**
 * The existing instances of a transient provider in a scope: one for each provider that injects it. `inquirers` has the
 * injecting providers by their id. Instances that were created for a provider that connections share are left out.
 */
export function transientInstances(
  wrapper: InstanceWrapper,
  contextId: ContextId,
  inquirers: ReadonlyMap<string, InstanceWrapper>,
): unknown[] {
  const instances: unknown[] = [];
  for (const [inquirerId, byScope] of transientHosts(wrapper)) {
    const host = byScope.get(contextId);
    // Nest also creates hosts of transient providers whose constructor it never calls.
    if (!host?.isConstructorCalled) continue;
    const inquirer = inquirers.get(inquirerId);
    if (!inquirer || isOwnInquirer(inquirer, contextId, inquirers)) instances.push(host.instance);
  }
  return instances;
}

// Connections may share a durable provider, together with the transient instances that were created for it in the scope
// of the first connection. A transient inquirer is shared if the provider that it was created for is shared.
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
