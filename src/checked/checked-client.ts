import { ClientError } from '../client/client.error.js';
import { ConnectedClient } from '../client/connected-client.js';
import { contain, type Off } from '../client/listeners.js';
import type { ServerMessage } from '../client/message.js';
import type { ClientOptions } from '../client/options.js';
import type { SendResult } from '../client/outbox.js';
import type { Answerer } from '../client/questions.js';
import type { RequestOptions } from '../client/request.js';
import type { StreamOptions } from '../client/stream.js';
import type { SubscriptionHooks } from '../client/topics.js';
import type { AnyContract, ClientMessageDefinition } from '../contract/contract.js';
import { receivedSchema } from '../contract/received.js';
import { isThenable } from '../structures/maybe-async.js';
import { CheckedStream } from './checked-stream.js';
import { assertSendable, received } from './checks.js';
import { InTurn } from './in-turn.js';

/** A message whose data is admitted; `undefined` for one that is not, which was reported. */
type Admitted = ServerMessage | undefined;

type Listener = (message: ServerMessage) => unknown;

/** The client, with a check of the contract wherever data comes in or goes out. */
export class CheckedClient extends ConnectedClient {
  readonly #turns = new InTurn();
  /** Each message is checked once, for all its listeners. */
  readonly #admitted = new WeakMap<ServerMessage, Admitted | PromiseLike<Admitted>>();

  constructor(
    url: URL,
    options: ClientOptions,
    private readonly contract: AnyContract,
  ) {
    super(url, options);
  }

  override on(event: string, listener: (data: never, message: never) => unknown): Off {
    const tell: Listener = (message) => listener(message.data as never, message as never);
    return this.#listen(tell, (admit) => super.on(event, (_data, message) => admit(message)));
  }

  override subscribe(
    topic: string,
    listener: (message: never) => unknown,
    hooks?: SubscriptionHooks,
  ): Off {
    const tell: Listener = (message) => listener(message as never);
    return this.#listen(tell, (admit) => super.subscribe(topic, admit, hooks));
  }

  override send(event: string, data?: unknown): SendResult {
    assertSendable(this.#sent(event).data, data, `"${event}"`);
    return super.send(event, data);
  }

  override async request<Reply>(
    event: string,
    data?: unknown,
    options?: RequestOptions,
  ): Promise<Reply> {
    const { data: schema, reply } = this.#sent(event);
    assertSendable(schema, data, `"${event}"`);
    const value = await super.request<Reply>(event, data, options);
    return reply ? (received(reply, value, `the reply to "${event}"`) as Reply) : value;
  }

  override stream<Item>(
    event: string,
    data?: unknown,
    options?: StreamOptions,
  ): AsyncIterableIterator<Item, undefined> {
    const { data: schema, stream } = this.#sent(event);
    return new CheckedStream<Item>(
      () => assertSendable(schema, data, `"${event}"`),
      super.stream<Item>(event, data, options),
      (item) => (stream ? (received(stream, item, `an item of "${event}"`) as Item) : item),
    );
  }

  override answer(event: string, answerer: Answerer): Off {
    const { asks } = this.contract;
    const { data: schema, reply } = Object.hasOwn(asks, event) ? asks[event]! : {};
    return super.answer(event, async (data, question) => {
      try {
        const asked = schema ? await received(schema, data, `the question "${event}"`) : data;
        const answer = (await answerer(asked, question)) ?? null;
        assertSendable(reply, answer, `the answer to "${event}"`);
        return answer;
      } catch (error) {
        // The server is told, as of everything that an answering function throws.
        if (error instanceof ClientError) this.failed(error);
        throw error;
      }
    });
  }

  #sent(event: string): ClientMessageDefinition {
    const { client } = this.contract;
    return Object.hasOwn(client, event) ? client[event]! : {};
  }

  #listen(tell: Listener, add: (admit: (message: ServerMessage) => void) => Off): Off {
    let isOn = true;
    const off = add((message) =>
      this.#turns.after(this.#admit(message), (admitted) => {
        if (admitted && isOn)
          void contain(
            () => tell(admitted),
            (error) => this.failed(error),
          );
      }),
    );
    return () => {
      isOn = false;
      off();
    };
  }

  #admit(message: ServerMessage): Admitted | PromiseLike<Admitted> {
    if (!this.#admitted.has(message)) this.#admitted.set(message, this.#check(message));
    return this.#admitted.get(message);
  }

  #check(message: ServerMessage): Admitted | PromiseLike<Admitted> {
    const { event, topic } = message;
    const schema = receivedSchema(this.contract, { event, topic });
    if (!schema) return message;
    const refused = ({ code, message: text, data, cause }: ClientError): undefined => {
      const more = { data, cause, ...(topic !== undefined && { topic }) };
      this.failed(new ClientError(code, text, more));
    };
    try {
      const data = received(schema, message.data, `"${event}"`);
      return isThenable(data)
        ? data.then((checked) => ({ ...message, data: checked }), refused)
        : { ...message, data };
    } catch (error) {
      return refused(error as ClientError);
    }
  }
}
