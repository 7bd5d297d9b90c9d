// A fake tracing agent: it is loaded before the application and wraps `send()` of every socket.
import { WebSocket } from 'ws';

globalThis.tracedTexts = [];
const sockets = WebSocket.prototype;
const original = Reflect.get(sockets, 'send');
sockets.send = function tracedSend(data, ...rest) {
  globalThis.tracedTexts.push(String(data));
  return Reflect.apply(original, this, [data, ...rest]);
};
