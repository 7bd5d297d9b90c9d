/** What was observed, in lanes: one for each client, one for the server, one for its log. */
export type Lanes = Readonly<Record<string, readonly string[]>>;

/** Writes down what happens, in order within a lane. Between lanes there is no order to rely on. */
export class Transcript {
  readonly #lanes = new Map<string, string[]>();

  write(lane: string, line: string): void {
    const lines = this.#lanes.get(lane);
    if (lines) lines.push(line);
    else this.#lanes.set(lane, [line]);
  }

  read(lane: string): readonly string[] {
    return this.#lanes.get(lane) ?? [];
  }

  get lanes(): Lanes {
    return Object.fromEntries(this.#lanes);
  }
}
