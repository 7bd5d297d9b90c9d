import type { Duplex } from 'node:stream';

import type { ContextId } from '@nestjs/core';
import type { WebSocket } from 'ws';

import { REQUEST_CONTEXT_ID } from '../nest/nest-internals.js';
import { contextIdOf } from '../scope/connection-scope.js';

/** The inside of a `ws` socket: when it is not there, a connection ends as `ws` ends it. */
interface Inside {
  readonly _closeFrameReceived?: boolean;
  readonly _socket?: Duplex;
}

/** The sockets of isolated gateways, on top of those that the `ws` server would make. */
export function isolatedSocketOf(Base: typeof WebSocket): typeof WebSocket {
  return class IsolatedSocket extends Base {
    /** Where Nest looks for the scope of a client. */
    get [REQUEST_CONTEXT_ID](): ContextId {
      return contextIdOf(this);
    }

    // Also called by `ws` itself, for the answer to a close frame.
    override close(code?: number, reason?: string | Buffer): void {
      super.close(code, reason);
      const { _closeFrameReceived: isAnswered, _socket: socket } = this as unknown as Inside;
      // Both have said goodbye, and it is the server's part to hang up (RFC 6455, section 7.1.1). `ws` waits for
      // the client to do so too: for up to 30 s, and then with an error, stack and all, that nobody ever sees.
      if (isAnswered) socket?.once('finish', hangUp);
    }
  };
}

function hangUp(this: Duplex): void {
  this.destroy();
}
