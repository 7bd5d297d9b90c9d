import { setTimeout as pause } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import {
  AskTimeoutError,
  type ThreadAudience,
  type UserExecutionContext,
  WebSocketEmitter,
} from 'nestjs-websocket-isolation';

/** A step of a run, as the page shows it: an item of the stream. */
export interface AgentEvent {
  readonly event: 'step';
  readonly data: { readonly step: string; readonly runId: string } & Record<string, unknown>;
}

const TOOL = 'turn-around';
const STEP_MS = 350;
const TOKEN_MS = 90;
/** How long the user may think about the use of a tool. */
const APPROVAL_MS = 120_000;

/** A fake agent: it thinks, asks the user before it uses a tool, and answers word by word. */
@Injectable()
export class Assistant {
  constructor(private readonly emitter: WebSocketEmitter) {}

  /**
   * The steps and the words go to the tab that has asked, at the speed at which it reads. Every tab of the thread, on
   * any node, is asked about the tool, and gets the whole answer.
   */
  async *run(
    { userId, threadId, runId }: UserExecutionContext,
    question: string,
    signal: AbortSignal,
  ): AsyncGenerator<AgentEvent> {
    const thread = this.emitter.toThread(userId, threadId);
    const words = question.split(/\s+/).filter(Boolean);
    const step = (name: string, data: object): AgentEvent => ({
      event: 'step',
      data: { step: name, runId, ...data },
    });
    try {
      yield step('agent_started', { question });
      await pause(STEP_MS, undefined, { signal });
      yield step('agent_thinking', { thought: `"${question}" has ${words.length} words.` });
      let answer = 'Then I leave it as it is.';
      if (await isAllowed(thread, { runId, tool: TOOL, input: question }, signal)) {
        yield step('tool_executing', { tool: TOOL, input: question });
        await pause(STEP_MS, undefined, { signal });
        const output = words.toReversed().join(' ');
        yield step('tool_completed', { tool: TOOL, output });
        answer = `Backwards it reads: ${output}`;
      }
      for (const text of answer.match(/\S+\s*/g) ?? []) {
        await pause(TOKEN_MS, undefined, { signal });
        yield step('agent_token', { text });
      }
      thread.send('agent_completed', { runId, answer });
    } finally {
      // However the run ends: the tabs of the thread take its question off the screen.
      thread.send('agent_ended', { runId });
    }
  }
}

/** Asks the user, in every tab of the thread. What a client answers is input: only `true` allows. */
async function isAllowed(
  thread: ThreadAudience,
  use: object,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    return (await thread.ask('approve', use, { timeoutMs: APPROVAL_MS, signal })) === true;
  } catch (error) {
    if (error instanceof AskTimeoutError) return false;
    throw error;
  }
}
