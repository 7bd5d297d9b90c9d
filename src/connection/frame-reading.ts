import type { WebSocket } from 'ws';

import type { IsolatedServer } from '../handlers/isolated-server.js';
import { BINARY_EVENT } from '../handlers/subscribe-binary.decorator.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { CodecFault } from '../wire/codecs.js';
import type { InboundMessage } from '../wire/message-parser.js';
import type { ConnectionServices } from './connection-services.js';

/** The connection that a frame arrived on. */
interface ReadingConnection {
  readonly services: ConnectionServices;
  readonly server: IsolatedServer;
  readonly manager: WebSocketManager;
  readonly client: WebSocket;
}

/** The message in a frame; `undefined` where the parser or the codec finds none, or throws. Never throws. */
export function messageIn(
  { services, server, manager, client }: ReadingConnection,
  frame: Buffer,
  isBinary: boolean,
  codecFailed: (error: CodecFault) => void,
): InboundMessage | undefined {
  const codec = services.codecs?.of(client);
  // Bytes of the app's own, where the path has a handler for them.
  if (isBinary && !codec && server.handlersOf(BINARY_EVENT)) {
    return { event: BINARY_EVENT, data: frame };
  }
  try {
    return services.parse(frame, manager.context, codec) ?? undefined;
  } catch (error) {
    // A frame that is no message is the fault of the client; a promise, or a number, is the fault of the codec.
    if (error instanceof CodecFault) codecFailed(error);
    return undefined;
  }
}
