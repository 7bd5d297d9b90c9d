/** The recorded lines, in lanes: a lane for each client, for the server, and for its log. */
export type Lanes = Readonly<Record<string, readonly string[]>>;

/** Records lines, in order within a lane. The order between lanes is not defined. */
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
