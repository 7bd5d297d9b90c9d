import type { Protocol } from '../candidates/candidate.js';
import { ignore, type LoadClient } from './client.js';
import { dialects } from './dialect.js';
import { clientFrame, compressedFrame, Opcode } from './frames.js';

export interface EchoRun {
  readonly messages: number;
  readonly elapsedMs: number;
}

/** Percentiles of the time from a message to its echo, in milliseconds. */
export interface LatencyRun {
  readonly p50: number;
  readonly p99: number;
}

/** A message and its echo, or a request and its reply. Only clients that offered compression send the last one. */
export type Exchange = 'echo' | 'request' | 'compressed echo';

function echoFrame(protocol: Protocol, bytes: number, kind: Exchange = 'echo'): Buffer {
  const dialect = dialects[protocol];
  if (kind === 'compressed echo') return compressedFrame(Opcode.TEXT, dialect.echo(bytes));
  return clientFrame(Opcode.TEXT, dialect[kind](bytes));
}

/** Each client keeps `window` messages in flight until `durationMs` is over. Resolves after the last echo. */
export function echoAtFullSpeed(
  clients: readonly LoadClient[],
  options: {
    protocol: Protocol;
    bytes: number;
    durationMs: number;
    window: number;
    kind?: Exchange;
  },
): Promise<EchoRun> {
  const frame = echoFrame(options.protocol, options.bytes, options.kind);
  const startedAt = performance.now();
  let messages = 0;
  let pending = clients.length * options.window;
  let isOver = false;
  return new Promise((resolve) => {
    setTimeout(() => {
      isOver = true;
    }, options.durationMs);
    const finish = (): void => {
      for (const client of clients) client.onMessage = ignore;
      resolve({ messages, elapsedMs: performance.now() - startedAt });
    };
    for (const client of clients) {
      client.onMessage = () => {
        messages += 1;
        if (!isOver) client.send(frame);
        else if ((pending -= 1) === 0) finish();
      };
      for (let sent = 0; sent < options.window; sent += 1) client.send(frame);
    }
  });
}

/**
 * Keeps `inFlight` messages in flight among all clients, which take turns. Resolves when all `messages` have their
 * echoes.
 */
export function echoInTurn(
  clients: readonly LoadClient[],
  options: { protocol: Protocol; bytes: number; messages: number; inFlight: number },
): Promise<EchoRun> {
  const frame = echoFrame(options.protocol, options.bytes);
  const startedAt = performance.now();
  const { messages } = options;
  let sent = 0;
  let received = 0;
  const sendNext = (): void => {
    clients[sent % clients.length]!.send(frame);
    sent += 1;
  };
  return new Promise((resolve) => {
    for (const client of clients) {
      client.onMessage = () => {
        received += 1;
        if (sent < messages) sendNext();
        else if (received === messages) {
          for (const each of clients) each.onMessage = ignore;
          resolve({ messages, elapsedMs: performance.now() - startedAt });
        }
      };
    }
    while (sent < options.inFlight) sendNext();
  });
}

/** Each client sends one message. Resolves after the last echo. */
export function echoOnce(
  clients: readonly LoadClient[],
  options: { protocol: Protocol; bytes: number },
): Promise<EchoRun> {
  return echoAtFullSpeed(clients, { ...options, durationMs: 0, window: 1 });
}

/**
 * Sends `perSecond` messages per second, whether or not the earlier echoes have arrived. A stalled server therefore
 * shows in the latencies.
 */
export function echoAtFixedRate(
  clients: readonly LoadClient[],
  options: { protocol: Protocol; bytes: number; perSecond: number; durationMs: number },
): Promise<LatencyRun> {
  const frame = echoFrame(options.protocol, options.bytes);
  const total = Math.floor((options.perSecond * options.durationMs) / 1000);
  const latencies: number[] = [];
  const sentAt = clients.map((): number[] => []);
  const startedAt = performance.now();
  let sent = 0;
  return new Promise((resolve) => {
    for (const [index, client] of clients.entries()) {
      client.onMessage = () => {
        latencies.push(performance.now() - sentAt[index]!.shift()!);
        if (latencies.length === total) resolve(percentiles(latencies));
      };
    }
    const timer = setInterval(() => {
      const now = performance.now();
      const due = Math.min(total, Math.floor(((now - startedAt) * options.perSecond) / 1000));
      for (; sent < due; sent += 1) {
        const index = sent % clients.length;
        sentAt[index]!.push(performance.now());
        clients[index]!.send(frame);
      }
      if (sent === total) clearInterval(timer);
    }, 1);
  });
}

const ASK = Buffer.from('"ask":"');

/** Answers each question of the server with the same data, for as long as the clients are open. */
export function answerAll(clients: readonly LoadClient[]): void {
  for (const client of clients) {
    client.onMessage = (data, start, end) => {
      const from = data.indexOf(ASK, start) + ASK.length;
      const ask = data.toString('latin1', from, data.indexOf('"', from));
      if (from > end) throw new Error('The server has asked nothing');
      const answer = JSON.stringify({ event: 'answer', ask, data: { isSure: true } });
      client.send(clientFrame(Opcode.TEXT, answer));
    };
  }
}

/** Each client sends the same message. Resolves when each has received this many. */
export function exchange(
  clients: readonly LoadClient[],
  message: object,
  each: number,
): Promise<void> {
  const done = received(clients, each * clients.length);
  const frame = clientFrame(Opcode.TEXT, JSON.stringify(message));
  for (const client of clients) client.send(frame);
  return done;
}

function percentiles(latencies: number[]): LatencyRun {
  const sorted = latencies.toSorted((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor((sorted.length - 1) * share)]!;
  return { p50: at(0.5), p99: at(0.99) };
}

/** Resolves when the clients have received this many messages in total. */
export function received(clients: readonly LoadClient[], messages: number): Promise<void> {
  let left = messages;
  return new Promise((resolve) => {
    for (const client of clients) {
      client.onMessage = () => {
        if ((left -= 1) === 0) resolve();
      };
    }
  });
}
