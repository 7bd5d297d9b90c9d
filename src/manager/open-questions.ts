import type { Question } from './question.js';

const NONE: readonly never[] = [];

/**
 * The questions that each connection can answer. A connection without any takes no memory. They are in arrays, not in
 * maps: a map that is added to and deleted from all the time leaves tables behind, which keep what was in them in
 * memory. The tables of the one map here hold connections and empty arrays.
 */
export class OpenQuestions<Manager> {
  readonly #open = new Map<Manager, Question<Manager>[]>();

  /** The number of questions, one for each connection. */
  get size(): number {
    let sum = 0;
    for (const questions of this.#open.values()) sum += questions.length;
    return sum;
  }

  /** The connections that have open questions. */
  managers(): Iterable<Manager> {
    return this.#open.keys();
  }

  /** The questions to a connection, the oldest first. */
  of(manager: Manager): readonly Question<Manager>[] {
    return this.#open.get(manager) ?? NONE;
  }

  find(manager: Manager, id: unknown): Question<Manager> | undefined {
    return this.#open.get(manager)?.find((question) => question.id === id);
  }

  add(manager: Manager, question: Question<Manager>): void {
    const questions = this.#open.get(manager);
    if (questions) questions.push(question);
    else this.#open.set(manager, [question]);
  }

  remove(manager: Manager, question: Question<Manager>): void {
    const questions = this.#open.get(manager);
    if (!questions) return;
    const place = questions.indexOf(question);
    if (place !== -1) questions.splice(place, 1);
    if (questions.length === 0) this.#open.delete(manager);
  }

  /** Removes a connection. @returns the questions that it could have answered */
  close(manager: Manager): readonly Question<Manager>[] {
    const questions = this.of(manager);
    this.#open.delete(manager);
    return questions;
  }
}
