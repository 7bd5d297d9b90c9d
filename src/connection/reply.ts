import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { encodeAnswer, withField } from '../wire/frame-encoding.js';
import { messageId } from '../wire/message-parser.js';
import { exceptionReply, MessageRefusedError } from '../handlers/exception-reply.js';

/** The call of a handler, as its reply sees it. */
interface RepliedCall {
  cancel(): void;
  readonly message: { readonly event: unknown };
}

/**
 * The reply to a message with an `id`: exactly one terminal frame that carries the id, however the message ends. If
 * several gateways handle the event, the first one with a value replies; the values of the others carry no id.
 */
export class Reply {
  #isOver = false;
  #owner: RepliedCall | undefined = undefined;
  #isCancelled = false;
  #call: RepliedCall | undefined = undefined;
  // Most messages have one handler.
  #others: RepliedCall[] | undefined = undefined;

  constructor(
    readonly id: string | number,
    private readonly manager: WebSocketManager,
    /** Handlers that have not ended. */
    private running: number,
    /** Is told when the terminal frame has been sent. */
    private readonly owner: OpenReplies,
    /** Place among the replies of the owner. */
    public place: number,
  ) {}

  get isOver(): boolean {
    return this.#isOver;
  }

  /** A handler of the message is about to run. */
  add(call: RepliedCall): void {
    if (this.#call) (this.#others ??= []).push(call);
    else this.#call = call;
    if (this.#isCancelled) call.cancel();
  }

  /** The client has cancelled the message, perhaps before a handler could start. */
  cancel(): void {
    this.#isCancelled = true;
    this.#call?.cancel();
    for (const call of this.#others ?? []) call.cancel();
  }

  /** The frame of a value that a handler returned: with the id, where it is the terminal one. */
  value(text: string, call: RepliedCall): string {
    if (!this.claim(call)) return text;
    this.#end();
    return identified(text, this.id, call.message.event);
  }

  /** The frame of an item of a stream. */
  item(text: string, call: RepliedCall): string {
    return this.claim(call) ? identified(text, this.id, call.message.event) : text;
  }

  /** A stream has ended without an error. */
  complete(call: RepliedCall): void {
    if (this.claim(call)) this.#send(`{"event":"complete","id":${JSON.stringify(this.id)}}`);
  }

  /** Whether the `exception` of a failed handler is the terminal frame. If so, the caller sends it. */
  fails(call?: RepliedCall): boolean {
    if (call ? !this.claim(call) : this.#isOver) return false;
    this.#end();
    return true;
  }

  /** A handler has ended. When all of them have ended without a value, the client gets an acknowledgement. */
  ended(): void {
    this.running -= 1;
    if (this.running > 0 || this.#owner || this.#isOver) return;
    this.#send(`{"event":"ack","id":${JSON.stringify(this.id)}}`);
  }

  /** Makes this the call that replies, unless another one has replied or is about to. Returns whether it is. */
  claim(call: RepliedCall): boolean {
    if (this.#isOver) return false;
    this.#owner ??= call;
    return this.#owner === call;
  }

  #send(frame: string): void {
    this.#end();
    this.manager.sendFrame(frame);
  }

  #end(): void {
    this.#isOver = true;
    this.owner.over(this);
  }
}

/** The replies of one connection that are not over. */
export class OpenReplies {
  // In no order: each knows its place, so that opening and ending one takes constant time, and no memory.
  readonly #open: Reply[] = [];

  constructor(private readonly manager: WebSocketManager) {}

  /** @param handlers number of handlers that the message has */
  open(id: string | number, handlers: number): Reply {
    const reply = new Reply(id, this.manager, handlers, this, this.#open.length);
    this.#open.push(reply);
    return reply;
  }

  /** The connection is closing: each client that waits for a reply gets a refusal before the close frame. */
  refuseAll(): void {
    for (const reply of Array.from(this.#open)) {
      if (reply.fails()) this.manager.sendLast(closingFrame(reply.id));
    }
  }

  /** The client has cancelled a message. Returns whether it was open. */
  cancel(id: string | number): boolean {
    const cancelled = this.#open.filter((open) => open.id === id);
    for (const reply of cancelled) reply.cancel();
    return cancelled.length > 0;
  }

  /** The terminal frame of a reply has been sent. */
  over({ place }: Reply): void {
    const last = this.#open.pop()!;
    if (last.place === place) return;
    this.#open[place] = last;
    last.place = place;
  }
}

// A handler may return any JSON value. An object gets the id as a field; any other value gets the event of its message,
// as `{"event", "data", "id"}`.
function identified(text: string, id: string | number, event: unknown): string {
  const isObject = text.startsWith('{');
  const frame = isObject ? text : `{"event":${JSON.stringify(event ?? null)},"data":${text}}`;
  return withField(frame, 'id', id);
}

/** The frame that refuses a message which no handler gets. */
export function refusalFrame(code: string, text: string, id: string | number | undefined): string {
  const data = exceptionReply(new MessageRefusedError(code, text), id);
  return encodeAnswer({ event: 'exception', data })!;
}

/** The frame for a message whose handler has not ended when its connection closes. */
export function closingFrame(id: string | number): string {
  return refusalFrame('CLOSING', 'The connection is closing, and no result follows.', id);
}

/** Refuses a message that has waited for its handler until its connection closes. */
export function refuseWaiting(manager: WebSocketManager, message: { readonly id?: unknown }): void {
  const id = messageId(message);
  if (id !== undefined) manager.sendLast(closingFrame(id));
}
