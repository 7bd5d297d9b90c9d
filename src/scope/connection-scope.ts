import { type ContextId, ContextIdFactory, type ModuleRef } from '@nestjs/core';

import type { Clock } from '../clock/clock.js';
import { runBounded } from '../manager/bounded-run.js';
import {
  existingInstance,
  type InstanceWrapper,
  type NestInternals,
} from '../nest/nest-internals.js';
import type { ConnectionRequest } from './connection-request.js';
import { disposerOf } from './disposer-of.js';
import { dependantsFirst } from './dependants-first.js';

/** What every scope of a process shares. */
export interface ScopeHost {
  readonly moduleRef: ModuleRef;
  readonly internals: NestInternals;
  readonly clock: Clock;
  readonly disposeTimeoutMs: number;
}

/**
 * The dependency-injection scope of one connection: REQUEST-scoped providers resolve to instances of
 * its own, and all of them are disposed of at its end.
 */
export class ConnectionScope {
  /** Nest's name for the scope. */
  readonly contextId: ContextId = ContextIdFactory.create();
  readonly #disposed = new WeakSet<object>();

  constructor(
    private readonly host: ScopeHost,
    request: ConnectionRequest,
  ) {
    host.moduleRef.registerRequestByContextId(request, this.contextId);
  }

  /** The instance of a provider that belongs to this connection. */
  resolve(wrapper: InstanceWrapper): Promise<unknown> {
    return this.host.internals.loadInstance(wrapper, this.contextId);
  }

  /**
   * Disposes of every instance that was made in this scope: those that need others first, each with
   * `Symbol.asyncDispose`, `Symbol.dispose` or `onModuleDestroy`, whichever it has first. Each once,
   * however often this is called: a provider that was still being made the first time is found the next.
   */
  async dispose(report: (outcome: 'failed' | 'abandoned', error?: unknown) => void): Promise<void> {
    const { clock, disposeTimeoutMs } = this.host;
    for (const { dispose } of this.#disposables()) {
      await runBounded(clock, disposeTimeoutMs, dispose, report);
    }
  }

  #disposables(): { wrapper: InstanceWrapper; dispose: () => unknown }[] {
    const found: { wrapper: InstanceWrapper; dispose: () => unknown }[] = [];
    for (const wrapper of this.host.internals.scopedWrappers()) {
      const instance = existingInstance(wrapper, this.contextId);
      // One object under two tokens is one object.
      if (!isObject(instance) || this.#disposed.has(instance)) continue;
      this.#disposed.add(instance);
      const dispose = disposerOf(instance, wrapper);
      if (dispose) found.push({ wrapper, dispose });
    }
    return dependantsFirst(found);
  }
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}
