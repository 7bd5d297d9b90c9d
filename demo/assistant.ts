import { setTimeout as pause } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { type UserExecutionContext, WebSocketEmitter } from 'nestjs-websocket-isolation';

/** A step of a run, as the page shows it. */
export interface AgentEvent {
  readonly event: string;
  readonly data: Record<string, unknown>;
}

const STEP_MS = 350;

/** A fake agent: it thinks, uses a tool and answers. It streams these steps to every tab of the thread. */
@Injectable()
export class Assistant {
  constructor(private readonly emitter: WebSocketEmitter) {}

  /** Runs to its end, or until the signal is aborted because the asking tab was closed or cancelled the run. */
  async run(context: UserExecutionContext, question: string, signal: AbortSignal): Promise<void> {
    const audience = this.emitter.toThread(context.userId, context.threadId);
    const { runId } = context;
    for (const { event, data } of steps(question)) {
      audience.send(event, { runId, ...data });
      if (event !== 'agent_completed') await pause(STEP_MS, undefined, { signal });
    }
  }
}

function* steps(question: string): Generator<AgentEvent> {
  const words = question.split(/\s+/).filter(Boolean);
  yield { event: 'agent_started', data: { question } };
  yield { event: 'agent_thinking', data: { thought: `"${question}" has ${words.length} words.` } };
  yield { event: 'tool_executing', data: { tool: 'turn-around', input: question } };
  const output = words.toReversed().join(' ');
  yield { event: 'tool_completed', data: { tool: 'turn-around', output } };
  yield { event: 'agent_completed', data: { answer: `Backwards it reads: ${output}` } };
}
