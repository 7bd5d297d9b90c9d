import { defineContract } from 'nestjs-websocket-isolation/contract';
import { z } from 'zod';

/** What is said in a room. */
export const Line = z.object({ by: z.string(), text: z.string() });

/** The contract of the chat that the tests run. */
export const chat = defineContract({
  client: {
    say: {
      description: 'Says something to all.',
      data: z.object({
        text: z.string().trim().min(1).max(200),
        at: z.string().default('now'),
      }),
      reply: z.object({ number: z.number().int() }),
    },
    count: { data: z.object({ to: z.number().int().max(1_000) }), stream: z.number() },
    leave: { data: z.object({ why: z.string().optional() }).optional() },
    ping: {},
  },
  server: { said: { data: Line }, tick: {} },
  asks: {
    confirm: { data: z.object({ text: z.string() }), reply: z.boolean() },
    age: { reply: z.coerce.number().min(0) },
  },
  topics: { 'room:{id}': { said: { data: Line } } },
});
