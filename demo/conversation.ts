import { Injectable, Scope } from '@nestjs/common';
import { UserExecutionContext } from 'nestjs-websocket-isolation';

/** The messages of a tab so far. Each connection has its own instance, which is disposed of with the connection. */
@Injectable({ scope: Scope.REQUEST })
export class Conversation {
  readonly #lines: string[] = [];

  constructor(private readonly context: UserExecutionContext) {}

  say(text: string): { from: string; line: number; text: string } {
    this.#lines.push(text);
    return { from: this.context.userId, line: this.#lines.length, text };
  }

  [Symbol.dispose](): void {
    this.#lines.length = 0;
  }
}
