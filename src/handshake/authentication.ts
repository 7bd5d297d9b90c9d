import { Logger, type Type, UnauthorizedException } from '@nestjs/common';
import type { ModuleRef } from '@nestjs/core';

import type {
  AuthenticateFunction,
  ConnectionAuthenticator,
  HandshakeRequest,
  ResolvedOptions,
} from '../config/isolation.options.js';
import type { ConnectionIdentity } from '../context/connection-identity.js';
import { createId } from '../context/ids.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { InvalidAnswerError } from '../errors/invalid-answer.js';
import { askApp } from './app-answer.js';
import { appProvider, type InstanceFor } from './app-provider.js';

/** Calls the app's authenticator, whichever form it has, to identify a client. */
export class Authentication {
  readonly #authenticate: Authenticate;
  readonly #renew: Renew | undefined;

  constructor(options: ResolvedOptions, moduleRef: ModuleRef) {
    const provider = authenticatorProvider(options, moduleRef);
    this.#authenticate = authenticateFunction(options, provider);
    this.#renew = renewFunction(options, provider);
  }

  /** Whether clients may renew their identity: the authenticator has `renew`. */
  get canRenew(): boolean {
    return this.#renew !== undefined;
  }

  /**
   * The identity; `null` for an unknown client. Throws, or rejects with, what the authenticator throws, or an error
   * that describes a result that is neither.
   */
  identify(
    request: HandshakeRequest,
    deadline: { readonly signal: AbortSignal },
  ): Promise<ConnectionIdentity | null> | ConnectionIdentity | null {
    return askApp(() => this.#authenticate(request, deadline), identityIn);
  }

  /** As {@link identify}, for a client that is connected. Call it only if {@link canRenew}. */
  renew(
    context: UserExecutionContext,
    credentials: unknown,
    signal: AbortSignal,
  ): Promise<ConnectionIdentity | null> | ConnectionIdentity | null {
    return askApp(() => this.#renew!(context, credentials, signal), identityIn);
  }
}

function identityIn(answer: unknown): ConnectionIdentity | null {
  if (answer === null) return null;
  if (typeof answer === 'object' && !Array.isArray(answer)) return answer as ConnectionIdentity;
  const error = new InvalidAnswerError('The authenticator', 'an identity or null', answer);
  // The falsy results of `users.get(token)` and `isValid && user` mean null. Any other value is a mistake in the
  // authenticator.
  if (!answer) throw new UnauthorizedException(undefined, { cause: error });
  throw error;
}

type Authenticate = (
  request: HandshakeRequest,
  deadline: { readonly signal: AbortSignal },
) => unknown;

type Renew = NonNullable<ConnectionAuthenticator['renew']>;

// `undefined` for a function, and where there is no authenticator.
function authenticatorProvider(
  { authenticator }: ResolvedOptions,
  moduleRef: ModuleRef,
): InstanceFor<ConnectionAuthenticator> | undefined {
  if (typeof prototypeOf(authenticator)?.authenticate !== 'function') return undefined;
  const type = authenticator as Type<ConnectionAuthenticator>;
  return appProvider(type, moduleRef, 'AUTHENTICATOR_NOT_FOUND', 'authenticator');
}

function prototypeOf(authenticator: unknown): Partial<ConnectionAuthenticator> | undefined {
  return (authenticator as { prototype?: Partial<ConnectionAuthenticator> } | undefined)?.prototype;
}

function authenticateFunction(
  { authenticator }: ResolvedOptions,
  instanceFor: InstanceFor<ConnectionAuthenticator> | undefined,
): Authenticate {
  if (authenticator === undefined) return anonymous();
  if (!instanceFor) {
    const authenticate = authenticator as AuthenticateFunction;
    return (request, { signal }) => authenticate(request, signal);
  }
  return (request, deadline) => {
    const authenticator = instanceFor(request);
    return authenticator instanceof Promise
      ? authenticator.then((made) => made.authenticate(request, deadline.signal))
      : authenticator.authenticate(request, deadline.signal);
  };
}

function renewFunction(
  { authenticator }: ResolvedOptions,
  instanceFor: InstanceFor<ConnectionAuthenticator> | undefined,
): Renew | undefined {
  if (!instanceFor || typeof prototypeOf(authenticator)?.renew !== 'function') return undefined;
  return async (context, credentials, signal) =>
    (await instanceFor(context)).renew!(context, credentials, signal);
}

function anonymous(): Authenticate {
  new Logger('WebSocketIsolation').warn(
    'No authenticator is set: every connection is an anonymous user of its own, so limits per user have no effect. ' +
      'Write WebSocketIsolationModule.forRoot({ authenticator: YourAuthenticator }).',
  );
  return () => ({ userId: `anonymous-${createId('conn').slice('conn_'.length)}` });
}
