// What tracing agents do: they wrap `send()` of every socket, and are loaded before the application.
import { WebSocket } from 'ws';

globalThis.tracedTexts = [];
const sockets = WebSocket.prototype;
const original = Reflect.get(sockets, 'send');
sockets.send = function tracedSend(data, ...rest) {
  globalThis.tracedTexts.push(String(data));
  return Reflect.apply(original, this, [data, ...rest]);
};
