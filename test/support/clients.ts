import {
  type Client,
  type ClientOptions,
  connect,
  type StateChange,
  type WebSocketClass,
} from 'nestjs-websocket-isolation/client';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { expect } from '@jest/globals';
import * as ws from 'ws';

/** A client with short waits, which writes down what it is told. */
export interface WatchedClient {
  readonly client: Client;
  readonly states: StateChange[];
  readonly errors: { code: string; topic?: string }[];
  readonly dropped: { event: string; data: unknown; reason: string }[];
  readonly gaps: { topic?: string }[];
  readonly messages: { event: string; data: unknown; topic?: string }[];
  /** Resolves when the client has been in a state so many times. */
  readonly reached: (state: StateChange['state'], times?: number) => Promise<StateChange>;
}

const open = new Set<Client>();

/** That of Node.js from version 22 on, as an app has it; before, that of `ws`. */
const WebSocket = (globalThis as { WebSocket?: WebSocketClass }).WebSocket ?? ws.WebSocket;

/** Connects. {@link closeClients} closes it. */
export function watched(url: string, options: ClientOptions = {}): WatchedClient {
  const client = connect(url, {
    WebSocket,
    firstDelayMs: 20,
    longestDelayMs: 160,
    connectTimeoutMs: 240_000,
    probeTimeoutMs: 240_000,
    ...options,
  });
  open.add(client);
  const all = { states: [], errors: [], dropped: [], gaps: [], messages: [] } as Pick<
    WatchedClient,
    'states' | 'errors' | 'dropped' | 'gaps' | 'messages'
  >;
  client.onState((change) => all.states.push(change));
  client.onError((error) => all.errors.push(error));
  client.onDropped((message) => all.dropped.push(message));
  client.onGap((gap) => all.gaps.push(gap));
  for (const event of ['echo', 'said', 'resume', 'exception', 'presence', 'counted', 'state']) {
    client.on(event, (_data, message) => all.messages.push(message));
  }
  return {
    client,
    ...all,
    async reached(state, times = 1) {
      const found = (): StateChange[] => all.states.filter((change) => change.state === state);
      await eventually(() => expect(found().length).toBeGreaterThanOrEqual(times));
      return found()[times - 1]!;
    },
  };
}

export function closeClients(): void {
  for (const client of open) client.close();
  open.clear();
}
