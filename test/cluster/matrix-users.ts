import { expect } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ResumingClient, statusOf } from '../support/resuming-client.js';
import { type Fault, LIMIT, PATIENCE_MS, type World } from './matrix-world.js';

const AFTER = 'after the end';
const INTO = 'into the fault';

/** Returns the data of the echoes that a client has received. */
function echoes({ messages }: TestClient): unknown[] {
  return messages.filter(({ event }) => event === 'echo').map(({ data }) => data);
}

/** A user: its actions before and during a fault, and the checks afterwards. */
export abstract class User {
  /** The connections that this user wants to have. */
  readonly tabs: TestClient[] = [];

  constructor(
    readonly name: string,
    protected readonly world: World,
    protected readonly fault: Fault,
  ) {}

  abstract before(): Promise<void>;
  /** The user's actions during the fault. Resolves when they have begun. */
  abstract during(): Promise<void> | void;

  stop(): void {
    // Tabs end when their node ends.
  }

  /** Waits for effects that must occur before the fault ends. */
  async felt(): Promise<void> {
    // Most users wait for nothing.
  }

  /** The user's actions after the fault. */
  async afterwards(): Promise<void> {
    // Most users have no further actions.
  }

  /** The number of live connections after the fault: the wanted ones, without those of a killed node. */
  get lives(): number {
    return this.tabs.length - this.gone.length;
  }

  /** The connections that ended with their node. */
  get gone(): readonly TestClient[] {
    return this.fault.first === 'killed' ? this.onFirst : [];
  }

  protected readonly onFirst: TestClient[] = [];

  /** Checks the user's connections and data. @throws if a check fails */
  async check(): Promise<void> {
    for (const tab of this.tabs) {
      expect(tab.closeCode).toBe(this.gone.includes(tab) ? 1006 : undefined);
    }
  }

  /** Resolves with the number of this user's messages with this data that the faulty node has handled. */
  protected async handledOnFirst(data: string): Promise<number> {
    const { first } = this.world;
    if (first.hasEnded) return 0;
    const handled = await first.call('handled');
    return handled.filter((each) => each.userId === this.name && each.data === data).length;
  }

  /** Opens tabs on the faulty node, and on the other node. */
  protected async open(first: number, second: number): Promise<void> {
    for (let count = 0; count < first; count += 1) {
      this.onFirst.push(await this.world.enter(this.world.first, this.name));
    }
    this.tabs.push(...this.onFirst);
    for (let count = 0; count < second; count += 1) await this.openOnSecond();
  }

  protected async openOnSecond(): Promise<TestClient> {
    const tab = await this.world.enter(this.world.second, this.name);
    this.tabs.push(tab);
    return tab;
  }

  /** Closes a tab. The server may notice it later. */
  protected close(tab: TestClient): void {
    tab.terminate();
    for (const list of [this.tabs, this.onFirst]) {
      if (list.includes(tab)) list.splice(list.indexOf(tab), 1);
    }
  }
}

class Staying extends User {
  before(): Promise<void> {
    return this.open(2, 1);
  }

  during(): void {
    // No action.
  }
}

class Leaving extends User {
  before(): Promise<void> {
    return this.open(2, 1);
  }

  during(): void {
    this.close(this.tabs[0]!);
  }
}

class Coming extends User {
  before(): Promise<void> {
    return this.open(1, 1);
  }

  during(): void {
    this.world.pending.push(this.openOnSecond());
  }
}

/** Reloads all tabs. They reconnect to the other node. */
class Reloading extends User {
  before(): Promise<void> {
    return this.open(LIMIT, 0);
  }

  during(): void {
    while (this.tabs.length > 0) this.close(this.tabs[0]!);
    for (let count = 0; count < LIMIT; count += 1) this.world.pending.push(this.openOnSecond());
  }
}

/** Is disconnected on all nodes, and signs in again. */
class LoggingOut extends User {
  #out: TestClient[] = [];

  before(): Promise<void> {
    return this.open(1, 1);
  }

  during(): void {
    const { world, name } = this;
    this.#out = this.tabs.splice(0);
    world.background.push(world.second.call('disconnect', name));
    // The disconnect applies only to connections that exist when it is called, so wait before the next tab.
    world.pending.push(
      eventually(() => expect(this.#out[1]!.closeCode).toBe(4401), PATIENCE_MS).then(() =>
        this.openOnSecond(),
      ),
    );
    if (this.fault.first === 'frozen') this.#out[0]!.send('echo', AFTER);
  }

  override get gone(): readonly TestClient[] {
    return [];
  }

  override async check(): Promise<void> {
    await super.check();
    const isKilled = this.fault.first === 'killed';
    expect(this.#out.map(({ closeCode }) => closeCode)).toEqual([isKilled ? 1006 : 4401, 4401]);
    expect(await this.handledOnFirst(AFTER)).toBe(0);
  }
}

/** Sends messages all the time. */
class Sending extends User {
  #sent = 0;

  before(): Promise<void> {
    return this.open(1, 1);
  }

  during(): void {
    this.#send();
  }

  override async check(): Promise<void> {
    await super.check();
    this.#send();
    const expected = Array.from({ length: this.#sent }, (_, index) => index + 1);
    for (const tab of this.tabs.filter((tab) => !this.gone.includes(tab))) {
      await eventually(() => {
        expect(echoes(tab)).toEqual(expected);
      }, PATIENCE_MS);
    }
  }

  #send(): void {
    for (let count = 0; count < 3; count += 1) {
      this.#sent += 1;
      for (const tab of this.tabs) tab.send('echo', this.#sent);
    }
  }
}

/** Is at the limit, while two more tabs try to connect. */
class Crowding extends User {
  readonly #later: TestClient[] = [];

  before(): Promise<void> {
    return this.open(2, 1);
  }

  during(): void {
    this.world.background.push(this.#push());
    for (const tab of this.onFirst) tab.send('echo', INTO);
  }

  // A node that is frozen for longer than a lease loses its slots.
  override async felt(): Promise<void> {
    if (this.fault.first !== 'frozen') return;
    await eventually(() => expect(this.#later).toHaveLength(2), PATIENCE_MS);
  }

  override get lives(): number {
    return LIMIT;
  }

  override async check(): Promise<void> {
    const { fault, gone, tabs } = this;
    const all = [...tabs, ...this.#later];
    const findLost = (): TestClient[] =>
      all.filter((tab) => tab.closeCode !== undefined && !gone.includes(tab));
    // The close frames may still be on their way.
    await eventually(
      () => expect(all.length - findLost().length - gone.length).toBe(LIMIT),
      PATIENCE_MS,
    );
    const lost = findLost();
    expect(lost.map(({ closeCode }) => closeCode)).toEqual(lost.map(() => 4442));
    // A process that was frozen handles no messages of connections that have lost their slots.
    if (fault.first === 'frozen') {
      const lostThere = lost.filter((tab) => this.onFirst.includes(tab));
      expect(lostThere).toHaveLength(2);
      expect(await this.handledOnFirst(INTO)).toBe(this.onFirst.length - lostThere.length);
    }
  }

  // Opens two more tabs as soon as slots are free.
  async #push(): Promise<void> {
    const { world, name } = this;
    while (!world.isSettled && this.#later.length < 2) {
      const arrival = await world.second.tryToConnect(name).catch(() => 0);
      if (arrival instanceof TestClient) this.#later.push(arrival);
      else await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Three clients of a thread: one stays, one moves to the other node, and one is away during the fault. */
class Resuming extends User {
  readonly #clients: ResumingClient[] = [];
  #said = 0;
  #isMoved = false;

  async before(): Promise<void> {
    const { first, second } = this.world;
    const isKilled = this.fault.first === 'killed';
    const portOfMoving = (): number => (this.#isMoved ? second : first).port;
    const portOfStaying = (): number => (isKilled ? second : first).port;
    for (const port of [portOfStaying, portOfMoving, () => second.port]) {
      const client = new ResumingClient(
        () => `ws://127.0.0.1:${port()}/chat?user=${this.name}&thread=tea`,
      );
      client.start();
      this.#clients.push(client);
    }
    await eventually(() => {
      for (const { frames } of this.#clients) expect(frames).toHaveLength(1);
    }, PATIENCE_MS);
    await this.#say();
    await this.#allHave(this.#said);
  }

  async during(): Promise<void> {
    const [, moving, away] = this.#clients;
    this.#isMoved = true;
    moving!.cut();
    away!.stop();
    await this.#say();
  }

  override get lives(): number {
    return this.#clients.length;
  }

  override async afterwards(): Promise<void> {
    this.#clients[2]!.comeBack();
    await this.#say();
    await this.#allHave(this.#said);
  }

  override stop(): void {
    for (const client of this.#clients) client.stop();
  }

  override async check(): Promise<void> {
    await Promise.resolve();
    for (const { frames } of this.#clients) {
      let last = 0;
      let isGap = false;
      for (const { event, data } of frames) {
        if (event === 'resume') {
          isGap ||= statusOf(data) === 'gap';
        } else {
          // Each event arrives once and in order, and a missing event is reported as a gap.
          if (isGap) expect(data as number).toBeGreaterThan(last);
          else expect(data).toBe(last + 1);
          last = data as number;
          isGap = false;
        }
      }
    }
  }

  async #say(): Promise<void> {
    for (let count = 0; count < 3; count += 1) {
      this.#said += 1;
      await this.world.second.call('say', this.name, 'tea', this.#said);
    }
  }

  #allHave(number: number): Promise<void> {
    return eventually(() => {
      for (const { frames } of this.#clients) {
        expect(frames.findLast(({ event }) => event === 'news')?.data).toBe(number);
      }
    }, PATIENCE_MS);
  }
}

export const DEEDS = {
  stays: Staying,
  leaves: Leaving,
  comes: Coming,
  reloads: Reloading,
  'logs out': LoggingOut,
  sends: Sending,
  crowds: Crowding,
  resumes: Resuming,
} as const;

export type Deed = keyof typeof DEEDS;
