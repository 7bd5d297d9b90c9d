import { expect } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ResumingClient, statusOf } from '../support/resuming-client.js';
import { type Fault, LIMIT, PATIENCE_MS, type World } from './matrix-world.js';

const AFTER = 'after the end';
const INTO = 'into the fault';

/** What came back of what was sent; each frame is an answer. */
function echoes({ messages }: TestClient): unknown[] {
  return messages.filter(({ event }) => event === 'echo').map(({ data }) => data);
}

/** What somebody does before a fault, while it lasts, and what has to be right afterwards. */
export abstract class User {
  /** Connections that this user wants to have. */
  readonly tabs: TestClient[] = [];

  constructor(
    readonly name: string,
    protected readonly world: World,
    protected readonly fault: Fault,
  ) {}

  abstract before(): Promise<void>;
  /** Resolves when all of it has begun. */
  abstract during(): Promise<void> | void;

  stop(): void {
    // Tabs end with their node.
  }

  /** Waits for what has to come about before the fault is over. */
  async felt(): Promise<void> {
    // Most need not.
  }

  /** What is left to do when the fault is over. */
  async afterwards(): Promise<void> {
    // Most have done it all.
  }

  /** Connections that live when all is over: those that the user wants, less those that a killed node had. */
  get lives(): number {
    return this.tabs.length - this.gone.length;
  }

  /** Those that went down with their node. */
  get gone(): readonly TestClient[] {
    return this.fault.first === 'killed' ? this.onFirst : [];
  }

  protected readonly onFirst: TestClient[] = [];

  /** Throws where anything is not right. */
  async check(): Promise<void> {
    for (const tab of this.tabs) {
      expect(tab.closeCode).toBe(this.gone.includes(tab) ? 1006 : undefined);
    }
  }

  /** How many messages of this user, with such data, the node where the fault strikes has handled. */
  protected async handledOnFirst(data: string): Promise<number> {
    const { first } = this.world;
    if (first.hasEnded) return 0;
    const handled = await first.call('handled');
    return handled.filter((each) => each.userId === this.name && each.data === data).length;
  }

  /** Opens tabs on the node where the fault strikes, and on the other. */
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

  /** Closes a tab; the server may not hear of it for a while. */
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
    // Nothing.
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

/** All tabs are reloaded, and find themselves on the other node. */
class Reloading extends User {
  before(): Promise<void> {
    return this.open(LIMIT, 0);
  }

  during(): void {
    while (this.tabs.length > 0) this.close(this.tabs[0]!);
    for (let count = 0; count < LIMIT; count += 1) this.world.pending.push(this.openOnSecond());
  }
}

/** Is signed out everywhere, and signs in again. */
class LoggingOut extends User {
  #out: TestClient[] = [];

  before(): Promise<void> {
    return this.open(1, 1);
  }

  during(): void {
    const { world, name } = this;
    this.#out = this.tabs.splice(0);
    world.background.push(world.second.call('disconnect', name));
    // Those that are there when it is called are meant, and no others.
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

/** Sends all the time. */
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

/** Is at the limit, with somebody who wants to get in. */
class Crowding extends User {
  readonly #later: TestClient[] = [];

  before(): Promise<void> {
    return this.open(2, 1);
  }

  during(): void {
    this.world.background.push(this.#push());
    for (const tab of this.onFirst) tab.send('echo', INTO);
  }

  // A node that sleeps for long enough loses its slots.
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
    const lost = all.filter((tab) => tab.closeCode !== undefined && !gone.includes(tab));
    expect(lost.map(({ closeCode }) => closeCode)).toEqual(lost.map(() => 4442));
    expect(all.length - lost.length - gone.length).toBe(LIMIT);
    // A process that overslept serves nobody who has lost the slot.
    if (fault.first === 'frozen') {
      const lostThere = lost.filter((tab) => this.onFirst.includes(tab));
      expect(lostThere).toHaveLength(2);
      expect(await this.handledOnFirst(INTO)).toBe(this.onFirst.length - lostThere.length);
    }
  }

  // Two more, as soon as there is room.
  async #push(): Promise<void> {
    const { world, name } = this;
    while (!world.isSettled && this.#later.length < 2) {
      const arrival = await world.second.tryToConnect(name).catch(() => 0);
      if (arrival instanceof TestClient) this.#later.push(arrival);
      else await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Follows a thread: one that stays, one that moves to the other node meanwhile, one that is away meanwhile. */
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
          // Once, in order, and nothing left out without a word.
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
