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
import { askApp, InvalidAnswerError } from './app-answer.js';
import { appProvider } from './app-provider.js';

/** Calls the app's authenticator, whichever form it has, to identify a client. */
export class Authentication {
  readonly #authenticate: Authenticate;

  constructor(options: ResolvedOptions, moduleRef: ModuleRef) {
    this.#authenticate = authenticateFunction(options, moduleRef);
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

function authenticateFunction(options: ResolvedOptions, moduleRef: ModuleRef): Authenticate {
  const { authenticator } = options;
  if (authenticator === undefined) return anonymous();
  const { prototype } = authenticator as { prototype?: Partial<ConnectionAuthenticator> };
  if (typeof prototype?.authenticate !== 'function') {
    const authenticate = authenticator as AuthenticateFunction;
    return (request, { signal }) => authenticate(request, signal);
  }
  const type = authenticator as Type<ConnectionAuthenticator>;
  const instanceFor = appProvider(type, moduleRef, 'AUTHENTICATOR_NOT_FOUND', 'authenticator');
  return (request, deadline) => {
    const authenticator = instanceFor(request);
    return authenticator instanceof Promise
      ? authenticator.then((made) => made.authenticate(request, deadline.signal))
      : authenticator.authenticate(request, deadline.signal);
  };
}

function anonymous(): Authenticate {
  new Logger('WebSocketIsolation').warn(
    'No authenticator is set: every connection is an anonymous user of its own, so limits per user have no effect. ' +
      'Write WebSocketIsolationModule.forRoot({ authenticator: YourAuthenticator }).',
  );
  return () => ({ userId: `anonymous-${createId('conn').slice('conn_'.length)}` });
}
