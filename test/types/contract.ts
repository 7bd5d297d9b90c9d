// `npm run typecheck` checks this file; it never runs. It contains code that must compile, and code that must not.
import {
  type AnyContract,
  type DataOf,
  defineContract,
  type EventOf,
  type ItemOf,
  type ReceivedData,
  type ReceivedReply,
  type ReplyOf,
  type SentArgs,
  type StreamEventOf,
  type TopicMessages,
  type TopicName,
} from 'nestjs-websocket-isolation/contract';
import { dto } from 'nestjs-websocket-isolation/dto';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';

import { chat } from '../support/chat-contract.js';

type Chat = typeof chat;
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- the compiler compares two such functions exactly
type Is<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : never;
const all = (..._claims: true[]): void => undefined;

// What a handler gets is what the schema makes; what a client sends is what the schema takes.
all(true satisfies Is<DataOf<Chat, 'say'>, { text: string; at: string }>);
all(
  true satisfies Is<
    SentArgs<Chat['client'], 'say'>,
    [data: { text: string; at?: string | undefined }]
  >,
);
all(true satisfies Is<ReplyOf<Chat, 'say'>, { number: number }>);
all(true satisfies Is<ItemOf<Chat, 'count'>, number>);
// Nothing is known of data without a schema.
all(true satisfies Is<DataOf<Chat, 'ping'>, unknown>);
all(true satisfies Is<SentArgs<Chat['client'], 'ping'>, [data?: undefined]>);
// The data of `leave` may be left out.
all(
  true satisfies Is<
    SentArgs<Chat['client'], 'leave'>,
    [data?: { why?: string | undefined } | undefined]
  >,
);
all(true satisfies Is<ReceivedData<Chat['server'], 'said'>, { by: string; text: string }>);
all(true satisfies Is<ReceivedReply<Chat['asks'], 'age'>, number>);
all(true satisfies Is<EventOf<Chat['client']>, 'say' | 'count' | 'leave' | 'ping'>);
all(true satisfies Is<StreamEventOf<Chat['client']>, 'count'>);
all(true satisfies Is<TopicName<Chat>, `room:${string}`>);
all(true satisfies Is<EventOf<TopicMessages<Chat, 'room:7'>>, 'said'>);

// Without a contract, everything is as it was.
// oxlint-disable-next-line typescript/no-explicit-any
type None = any;
all(true satisfies Is<EventOf<None>, string>);
all(true satisfies Is<SentArgs<None, string>, [data?: unknown]>);
all(true satisfies Is<TopicName<None>, string>);

// @ts-expect-error a message that the contract does not have
export type Wrong = DataOf<Chat, 'shout'>;
// @ts-expect-error `say` is replied to once
export type NoStream = ItemOf<Chat, 'say'>;

class Said {
  text!: string;
  at!: Date;
  tags!: { readonly name: string }[];

  shout(): string {
    return this.text.toUpperCase();
  }
}

// Any library.
export const mixed = defineContract({
  client: {
    valibot: {
      data: v.object({
        at: v.pipe(
          v.string(),
          v.transform((text) => new Date(text)),
        ),
      }),
    },
    arktype: { data: type({ count: 'number > 0' }) },
    zod: { data: z.string() },
    dto: { data: dto(Said) },
    computed: { data: dto<Said, { text: string }>(Said) },
  },
});
all(true satisfies Is<DataOf<typeof mixed, 'valibot'>, { at: Date }>);
all(true satisfies Is<SentArgs<(typeof mixed)['client'], 'valibot'>, [data: { at: string }]>);
all(true satisfies Is<DataOf<typeof mixed, 'arktype'>, { count: number }>);
all(true satisfies Is<DataOf<typeof mixed, 'dto'>, Said>);
all(
  true satisfies Is<
    SentArgs<(typeof mixed)['client'], 'dto'>,
    [data: { text: string; at: string | Date; tags: { readonly name: string }[] }]
  >,
);
all(true satisfies Is<SentArgs<(typeof mixed)['client'], 'computed'>, [data: { text: string }]>);
// A group that was left out has no messages.
all(true satisfies Is<EventOf<(typeof mixed)['server']>, never>);

export const any: AnyContract = chat;
// @ts-expect-error a type is no schema
defineContract({ client: { say: { data: String } } });
// @ts-expect-error a part that does not exist
defineContract({ clients: {} });
// @ts-expect-error the server does not wait for replies to what it sends
defineContract({ server: { said: { reply: z.string() } } });
