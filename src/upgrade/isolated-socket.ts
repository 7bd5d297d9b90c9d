import type { ContextId } from '@nestjs/core';
import type { WebSocket } from 'ws';

import { PASSES_PONGS, passPong } from '../manager/socket-binding.js';
import { endOnce } from '../wire/ws-internals.js';
import { REQUEST_CONTEXT_ID } from '../nest/nest-internals.js';
import type { ConnectionRequest } from '../scope/connection-request.js';
import { contextIdOf, requestOf } from '../scope/connection-scope.js';

/** Returns the socket class of isolated gateways, which extends the class that the `ws` server would use. */
export function isolatedSocketOf(Base: typeof WebSocket): typeof WebSocket {
  if (typeof Base !== 'function') {
    throw new TypeError(
      'The option WebSocket of the adapter or gateway has to be a class that extends the WebSocket of `ws`.',
    );
  }
  return class IsolatedSocket extends Base {
    /** The property in which Nest looks for the scope of a client. */
    get [REQUEST_CONTEXT_ID](): ContextId {
      return contextIdOf(this);
    }

    /** Address of the peer, under the name that guards made for HTTP read. The app may set its own value. */
    get ip(): string | undefined {
      return requestOf(this)?.remoteAddress;
    }

    set ip(value: unknown) {
      own(this, 'ip', value);
    }

    /** The headers that `handshake.keepHeaders` names. The app may set its own value. */
    get headers(): ConnectionRequest['headers'] {
      return requestOf(this)?.headers ?? {};
    }

    set headers(value: unknown) {
      own(this, 'headers', value);
    }

    /** The owner of the socket gets its pongs here, without a listener in every connection. */
    get [PASSES_PONGS](): true {
      return true;
    }

    override emit(event: string | symbol, ...details: unknown[]): boolean {
      if (event === 'pong') passPong(this);
      return super.emit(event, ...details);
    }

    // `ws` itself also calls this method, to reply to a close frame.
    override close(code?: number, reason?: string | Buffer): void {
      super.close(code, reason);
      endOnce(this);
    }
  };
}

function own(socket: object, name: string, value: unknown): void {
  Object.defineProperty(socket, name, {
    value,
    writable: true,
    enumerable: true,
    configurable: true,
  });
}
