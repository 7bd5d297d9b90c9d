import { defineContract } from 'nestjs-websocket-isolation/contract';
import { z } from 'zod';

const Said = z.object({ by: z.string(), text: z.string() });

/** A chat with rooms. */
export const chat = defineContract({
  client: {
    say: {
      data: z.object({ room: z.string(), text: z.string().trim().min(1).max(500) }),
      reply: z.object({ number: z.number().int() }),
    },
    who: { data: z.object({ room: z.string() }), reply: z.array(z.string()) },
  },
  topics: { 'room:{name}': { said: { data: Said } } },
});

/** An agent that answers word by word, and asks before it uses a tool. */
export const agent = defineContract({
  client: {
    prompt: { data: z.object({ text: z.string() }), stream: z.object({ word: z.string() }) },
    usage: { reply: z.object({ words: z.number(), open: z.number() }) },
  },
  asks: {
    approve: { data: z.object({ tool: z.string() }), reply: z.boolean() },
  },
});

/** A live dashboard. */
export const live = defineContract({
  server: { maintenance: { data: z.object({ at: z.coerce.date() }) } },
  topics: { 'gauge:{name}': { sample: { data: z.object({ value: z.number() }) } } },
});

export type Chat = typeof chat;
export type Agent = typeof agent;
export type Live = typeof live;
