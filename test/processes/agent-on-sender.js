// A fake tracing agent that wraps the method of `ws` that `send()` calls internally.
import { Sender } from 'ws';

globalThis.tracedTexts = [];
const { send } = Sender.prototype;
Sender.prototype.send = function tracedSend(data, ...rest) {
  globalThis.tracedTexts.push(String(data));
  return send.call(this, data, ...rest);
};
