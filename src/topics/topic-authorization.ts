import type { Type } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';

import type {
  AuthorizeTopicFunction,
  TopicAuthorizer,
  TopicGrant,
  TopicsOptions,
} from '../config/topics-options.js';
import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { epochMsOf } from '../errors/value-kind.js';
import { InvalidAnswerError } from '../errors/invalid-answer.js';
import { askApp } from '../handshake/app-answer.js';
import { appProvider } from '../handshake/app-provider.js';

/** What a client was granted. */
export interface Grant {
  readonly presence?: unknown;
  /** Epoch milliseconds. */
  readonly expiresAtMs?: number | undefined;
}

/** Asks the app's authorizer, whichever form it has, whether a client may subscribe. */
export class TopicAuthorization {
  readonly #authorize: AuthorizeTopicFunction | undefined;

  constructor({ authorizer }: Pick<TopicsOptions, 'authorizer'>, moduleRef: ModuleRef) {
    this.#authorize = authorizer && authorizeFunction(authorizer, moduleRef);
  }

  /**
   * The grant; `undefined` for a client that may not subscribe. Throws, or rejects with, what the authorizer throws, or
   * an error that describes a result that is neither. Runs in the context of the connection.
   */
  ask(
    context: UserExecutionContext,
    topic: string,
    signal: AbortSignal,
  ): Promise<Grant | undefined> | Grant | undefined {
    const authorize = this.#authorize;
    if (!authorize) return undefined;
    const ask = (): Promise<Grant | undefined> | Grant | undefined =>
      askApp(() => authorize(context, topic, signal), grantIn);
    return runInContext(new ConnectionCode(context), ask, undefined);
  }
}

// Strict: a truthy result that is no grant is a mistake in the authorizer, and refuses the client.
function grantIn(answer: unknown): Grant | undefined {
  if (answer === true) return {};
  if (answer === false || answer === null || answer === undefined) return undefined;
  if (isGrant(answer)) return readGrant(answer);
  throw invalid(answer);
}

const FIELDS: ReadonlySet<string> = new Set(['presence', 'expiresAt']);

// An object of another kind is a mistake, and must not admit: an error that is returned instead of thrown, or
// `{ allowed: false }`.
function isGrant(answer: unknown): answer is TopicGrant {
  if (typeof answer !== 'object' || answer === null || Array.isArray(answer)) return false;
  const prototype = Object.getPrototypeOf(answer) as object | null;
  const isPlain = prototype === null || Object.getPrototypeOf(prototype) === null;
  return isPlain && Object.keys(answer).every((name) => FIELDS.has(name));
}

function readGrant(answer: TopicGrant): Grant {
  const { presence, expiresAt } = answer;
  if (expiresAt === undefined || expiresAt === null) return { presence };
  const expiresAtMs = typeof expiresAt === 'number' ? expiresAt : dateMs(expiresAt);
  if (!Number.isFinite(expiresAtMs)) throw invalid(expiresAt);
  return { presence, expiresAtMs };
}

function dateMs(date: unknown): number {
  return date instanceof Date ? epochMsOf(date) : Number.NaN;
}

function invalid(answer: unknown): InvalidAnswerError {
  return new InvalidAnswerError(
    'The authorizer of topics',
    'true, false or { presence, expiresAt } with a Date or a number of epoch milliseconds',
    answer,
  );
}

function authorizeFunction(
  authorizer: NonNullable<TopicsOptions['authorizer']>,
  moduleRef: ModuleRef,
): AuthorizeTopicFunction {
  const { prototype } = authorizer as { prototype?: Partial<TopicAuthorizer> };
  if (typeof prototype?.authorize !== 'function') return authorizer as AuthorizeTopicFunction;
  const type = authorizer as Type<TopicAuthorizer>;
  const instanceFor = appProvider(type, moduleRef, 'AUTHORIZER_NOT_FOUND', 'topics.authorizer');
  return async (context, topic, signal) =>
    (await instanceFor(context)).authorize(context, topic, signal);
}
