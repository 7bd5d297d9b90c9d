import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable, Scope, UseGuards } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type Clock,
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  IsolatedGateway,
  IsolationEventBus,
  LeakDetector,
  systemClock,
  UserExecutionContext,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import { eventually } from 'nestjs-websocket-isolation/testing';
import { WebSocket } from 'ws';

import { HandshakeService } from '../../src/handshake/handshake.service.js';
import { ManagerRegistry } from '../../src/manager/manager-registry.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** The points at which the renewal of an identity waits for code of the app. */
const RENEWAL_POINTS = [
  'make an authenticator to renew',
  'renew the identity',
  'authorize a topic anew after the renewal',
] as const;

/** The points at which a connection waits for code of the app, from its first step to its last. */
const POINTS = [
  'authenticate',
  'wait for a slot',
  'make an asynchronous provider',
  'a guard on connect',
  'handleConnection',
  'a message handler',
  ...RENEWAL_POINTS,
  'handleDisconnect',
  'a disposer of the manager',
  'a disposer of the scope',
] as const;
type Point = (typeof POINTS)[number];

const INTERRUPTIONS = [
  'the client closes',
  'the client is cut',
  'cleanup of the user',
  'cleanup of the connection, twice',
  'disconnectUser',
  'shutdown',
  'the identity expires',
] as const;
type Interruption = (typeof INTERRUPTIONS)[number];

/** A gate that blocks the code that reaches the armed point, until the gate is opened. */
class Gate {
  #armed: Point | undefined;
  #open: () => void = () => undefined;
  reached = false;

  arm(point: Point): void {
    this.#armed = point;
    this.reached = false;
  }

  async pass(point: Point): Promise<void> {
    if (this.#armed !== point) return;
    this.#armed = undefined;
    this.reached = true;
    await new Promise<void>((resolve) => {
      this.#open = resolve;
    });
  }

  open(): void {
    this.#armed = undefined;
    this.#open();
    this.#open = () => undefined;
  }
}

const gate = new Gate();
const counts = {
  decisions: 0,
  connects: 0,
  disconnects: 0,
  disposers: 0,
  scopes: 0,
  scopesDisposed: 0,
};

@Injectable({ scope: Scope.REQUEST })
class Resource {
  constructor() {
    counts.scopes += 1;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await gate.pass('a disposer of the scope');
    counts.scopesDisposed += 1;
  }
}

const SLOW = Symbol('slow provider');
const KEYS = Symbol('keys of the authenticator');
const HOUR = 3_600_000;
/** By how much the wall clock was moved, so that identities expire. */
let moved = 0;
const clock: Clock = { ...systemClock, epoch: () => systemClock.epoch() + moved };

@Injectable({ scope: Scope.REQUEST })
class Tokens implements ConnectionAuthenticator {
  constructor(@Inject(KEYS) readonly keys: string) {}

  async authenticate(): Promise<ConnectionIdentity> {
    await gate.pass('authenticate');
    return { userId: 'ada', threadId: 'tea', expiresAt: clock.epoch() + HOUR };
  }

  async renew(): Promise<ConnectionIdentity> {
    const expiresAt = clock.epoch() + 2 * HOUR;
    await gate.pass('renew the identity');
    return { userId: 'ada', threadId: 'tea', expiresAt, metadata: { isRenewed: true } };
  }
}

class ConnectGuard {
  async canActivate(): Promise<boolean> {
    await gate.pass('a guard on connect');
    return true;
  }
}

@UseGuards(ConnectGuard)
@IsolatedGateway({ path: '/points' })
class PointsGateway {
  constructor(
    readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
    readonly resource: Resource,
    @Inject(SLOW) readonly slow: string,
  ) {}

  async handleConnection(): Promise<void> {
    counts.connects += 1;
    this.manager.onDispose(async () => {
      await gate.pass('a disposer of the manager');
      counts.disposers += 1;
    });
    await gate.pass('handleConnection');
  }

  async handleDisconnect(): Promise<void> {
    await gate.pass('handleDisconnect');
    counts.disconnects += 1;
  }

  @SubscribeMessage('work')
  async work() {
    await gate.pass('a message handler');
    return { event: 'done' };
  }
}
let testApp: TestApp;
let sockets: WebSocket[];
/** Ends the wait at the reached point. */
let goOn: () => void;
const unhandled: unknown[] = [];
const onUnhandled = (reason: unknown): void => void unhandled.push(reason);

beforeAll(() => void process.on('unhandledRejection', onUnhandled));
afterAll(() => void process.off('unhandledRejection', onUnhandled));
beforeEach(async () => {
  moved = 0;
  Object.assign(counts, {
    decisions: 0,
    connects: 0,
    disconnects: 0,
    disposers: 0,
    scopes: 0,
    scopesDisposed: 0,
  });
  sockets = [];
  testApp = await startApp({
    providers: [
      PointsGateway,
      Resource,
      {
        provide: SLOW,
        scope: Scope.REQUEST,
        useFactory: async () => {
          await gate.pass('make an asynchronous provider');
          return 'made';
        },
      },
      Tokens,
      {
        provide: KEYS,
        scope: Scope.REQUEST,
        useFactory: async () => {
          await gate.pass('make an authenticator to renew');
          return 'made';
        },
      },
    ],
    options: {
      limits: { maxManagersPerUser: 1 },
      // Long times, so that no timer ends a wait or cleans up: an arrival waits until the client with the slot leaves.
      cleanup: {
        probeTimeoutMs: 100_000,
        emergencyTimeoutMs: 200_000,
        proactiveIntervalMs: 600_000,
        emergencyIntervalMs: 600_000,
      },
      clock,
      handshake: { timeoutMs: 1_200_000 },
      heartbeat: { timeoutMs: 1_200_000 },
      authenticator: Tokens,
      topics: {
        authorizer: async () => {
          await gate.pass('authorize a topic anew after the renewal');
          return true;
        },
      },
    },
  });
  const bus = testApp.app.get(IsolationEventBus);
  const decide = (): void => void (counts.decisions += 1);
  bus.on('identity-renewed', decide);
  bus.on('renewal-refused', decide);
});
afterEach(() => testApp.close());

const factory = (): WebSocketManagerFactory => testApp.app.get(WebSocketManagerFactory);
const registry = (): ManagerRegistry => testApp.app.get(ManagerRegistry, { strict: false });

function connect(options = {}): WebSocket {
  const socket = new WebSocket(testApp.url('/points'), options);
  socket.on('error', () => undefined);
  sockets.push(socket);
  return socket;
}

async function becomeReady(socket: WebSocket): Promise<void> {
  await eventually(() => {
    const isReady = [...registry().all()].some(({ state }) => state === 'ready');
    if (socket.readyState !== WebSocket.OPEN || !isReady) throw new Error('not ready');
  });
}

/** Opens a connection, and resolves when it waits at the point. */
async function reach(point: Point): Promise<WebSocket> {
  if (point === 'wait for a slot') {
    const first = connect({ autoPong: false });
    await becomeReady(first);
    goOn = () => first.terminate();
    const arrival = connect();
    await eventually(() => {
      if (registry().slotsOf('ada')?.waiters.length !== 1) throw new Error('no arrival waits');
    });
    return arrival;
  }
  goOn = () => gate.open();
  if (isRenewal(point)) return reachInRenewal(point);
  gate.arm(point);
  const socket = connect();
  if (POINTS.indexOf(point) > POINTS.indexOf('handleConnection')) {
    await becomeReady(socket);
    if (point === 'a message handler') socket.send('{"event":"work"}');
    else socket.close();
  }
  await eventually(() => {
    if (!gate.reached) throw new Error(`did not reach: ${point}`);
  });
  return socket;
}

function isRenewal(point: Point): boolean {
  return (RENEWAL_POINTS as readonly Point[]).includes(point);
}

async function reachInRenewal(point: Point): Promise<WebSocket> {
  const socket = connect();
  await becomeReady(socket);
  socket.send('{"event":"subscribe","id":1,"data":{"topic":"room"}}');
  await once(socket, 'message');
  gate.arm(point);
  socket.send('{"event":"renew","id":2}');
  await eventually(() => {
    if (!gate.reached) throw new Error(`did not reach: ${point}`);
  });
  return socket;
}

/** Sends HTTP requests. When the server has replied, it has also read the earlier data of the other sockets. */
async function roundTrip(): Promise<void> {
  for (let trip = 0; trip < 2; trip += 1) {
    // A server that is shutting down does not reply.
    await fetch(testApp.url('/').replace('ws:', 'http:')).catch(() => undefined);
  }
}

async function cleanupEveryConnectionTwice(): Promise<void> {
  const ids = [...registry().all()].map(({ context }) => context.connectionId);
  const answers = await Promise.all(
    ids.map((id) => Promise.all([factory().cleanupManager(id), factory().cleanupManager(id)])),
  );
  expect(answers.every(([, second]) => !second)).toBe(true);
}

const acts: Record<Interruption, (socket: WebSocket, point: Point) => unknown> = {
  'the client closes': (socket) => socket.close(),
  'the client is cut': (socket) => socket.terminate(),
  'cleanup of the user': () => factory().cleanupUser('ada'),
  'cleanup of the connection, twice': cleanupEveryConnectionTwice,
  disconnectUser: () => factory().disconnectUser('ada'),
  shutdown: () => testApp.close(),
  // Its timer does not notice. The next step of a renewal does, or else the next message.
  'the identity expires': (socket, point) => {
    moved = HOUR;
    if (!isRenewal(point) && socket.readyState === WebSocket.OPEN) socket.send('{"event":"work"}');
  },
};

const NOTHING = {
  openSockets: 0,
  pendingHandshakes: 0,
  managers: 0,
  users: 0,
  undisposed: 0,
  suspects: [],
  connectsWithoutDisconnect: 0,
  disposersNotRunOnce: 0,
  scopesNotDisposedOnce: 0,
  unhandledRejections: [],
};

function leftover(): typeof NOTHING {
  const { ledger, suspects } = testApp.app.get(LeakDetector).getReport();
  return {
    openSockets: sockets.filter(({ readyState }) => readyState !== WebSocket.CLOSED).length,
    pendingHandshakes: testApp.app.get(HandshakeService, { strict: false }).pending,
    managers: registry().size,
    users: registry().userCount,
    undisposed: ledger.created - ledger.disposed,
    suspects: suspects as never[],
    connectsWithoutDisconnect: counts.connects - counts.disconnects,
    disposersNotRunOnce: counts.connects - counts.disposers,
    scopesNotDisposedOnce: counts.scopes - counts.scopesDisposed,
    unhandledRejections: unhandled as never[],
  };
}

/** How many renewals may have had an outcome: at most one, and none where the connection has ended first. */
function possibleDecisions(point: Point, interruption: Interruption, when: string): number[] {
  if (!isRenewal(point)) return [0];
  if (point === 'authorize a topic anew after the renewal') return [1];
  return interruption === 'the identity expires' && when === 'before it goes on' ? [0] : [0, 1];
}

describe.each(POINTS)('a connection at the point: %s', (point) => {
  it.each(
    INTERRUPTIONS.flatMap((interruption) => [
      [interruption, 'before it goes on'] as const,
      [interruption, 'as it goes on'] as const,
    ]),
  )('and %s, %s, leaves nothing behind', async (interruption, when) => {
    const socket = await reach(point);
    if (when === 'as it goes on') goOn();
    const interrupted = acts[interruption](socket, point);
    // Long enough for the interruption to proceed as far as it can.
    if (when === 'before it goes on') await Promise.all([sleep(15), roundTrip()]);
    goOn();
    await interrupted;
    for (const open of sockets) open.close();
    await eventually(() => expect(leftover()).toEqual(NOTHING));
    expect(possibleDecisions(point, interruption, when)).toContain(counts.decisions);
    if (interruption === 'shutdown') return;
    // The user's only slot is free again.
    const next = connect();
    await becomeReady(next);
    next.close();
    await eventually(() => expect(leftover()).toEqual(NOTHING));
  });
});
