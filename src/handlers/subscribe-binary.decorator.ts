/** Stands for the event of a binary frame. Its description appears in logs, events and traces. */
export const BINARY_EVENT: unique symbol = Symbol('binary');

const IS_BINARY_HANDLER = 'websocket-isolation:binary-handler';

/**
 * Method decorator: the method gets the binary frames of clients, as a `Buffer` in `@MessageBody()`. Guards, pipes,
 * interceptors, filters, bounds and rates are those of other handlers. A `Uint8Array` that it returns, or emits, is sent
 * as a binary frame; any other value as usual. Without such a method on a path, a binary frame is a message like a text
 * frame. On a connection with a codec, all frames are messages.
 *
 * @example
 * ```ts
 * @SubscribeBinary()
 * upload(@MessageBody() bytes: Buffer) {
 *   return { event: 'received', data: bytes.length };
 * }
 * ```
 */
export const SubscribeBinary =
  (): MethodDecorator =>
  (_target, _name, { value }: PropertyDescriptor) => {
    Reflect.defineMetadata(IS_BINARY_HANDLER, true, value as object);
  };

/** Whether a method has `@SubscribeBinary()`. */
export function isBinaryHandler(method: object): boolean {
  return Reflect.hasMetadata(IS_BINARY_HANDLER, method);
}
