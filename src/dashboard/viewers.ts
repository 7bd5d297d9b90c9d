import { type ExecutionContext, Inject, Injectable } from '@nestjs/common';

import { InvalidAnswerError } from '../errors/invalid-answer.js';
import { onThisMachine, PageAccess } from '../pages/page-access.js';
import { type Decide, PageGuards } from '../pages/page-guards.js';
import { type PageRequest, requestOf } from '../pages/page-request.js';
import { DASHBOARD_OPTIONS, type ResolvedDashboardOptions } from './dashboard.options.js';
import type { Operator } from './operator-actions.js';

/** Decides which viewers may act and which see ids, and finds the names of operators. */
@Injectable()
export class Viewers {
  readonly #mayAct: Decide;
  readonly #maySeeIds: Decide;

  constructor(
    @Inject(DASHBOARD_OPTIONS) private readonly options: ResolvedDashboardOptions,
    private readonly access: PageAccess,
    private readonly guards: PageGuards,
  ) {
    const { guard, canAct, canSeeIds } = options;
    this.#mayAct = canAct ? guards.decisionOf('canAct', canAct) : noViewer;
    // Without a guard, viewers are on this machine itself.
    const byDefault = guard ? noViewer : onThisMachine;
    this.#maySeeIds = canSeeIds ? guards.decisionOf('canSeeIds', canSeeIds) : byDefault;
  }

  /** Whether a viewer may also act; false if `canAct` throws. The error is logged, unless it is a 401 or 403. */
  mayAct(context: ExecutionContext): Promise<boolean> {
    return this.access.allows(this.#mayAct, context);
  }

  /** Whether a viewer sees the ids of users: those who may act have to know whom they disconnect. */
  async maySeeIds(context: ExecutionContext): Promise<boolean> {
    return (await this.access.allows(this.#maySeeIds, context)) || this.mayAct(context);
  }

  /** The name and the address of an operator, for the audit line. */
  async who(context: ExecutionContext): Promise<Operator> {
    const request = requestOf(context);
    const { whoIs = nameOfUser, guard } = this.options;
    const unnamed = guard ? 'unknown' : 'anonymous';
    let name = unnamed;
    try {
      name = (await this.guards.ask(() => whoIs(request), textOrNothing)) ?? unnamed;
    } catch (error) {
      // The operator has been admitted already. The audit line gets the fallback name.
      this.guards.complain(error);
    }
    return { who: name.slice(0, 200), from: this.access.addressOf(request) };
  }
}

async function noViewer(): Promise<boolean> {
  return false;
}

function textOrNothing(answer: unknown): string | undefined {
  if (answer === undefined || answer === null || typeof answer === 'string')
    return answer ?? undefined;
  throw new InvalidAnswerError('The option whoIs of the dashboard', 'a text', answer);
}

const NAMES = ['userId', 'sub', 'id', 'username', 'email', 'name'] as const;

function nameOfUser({ user }: PageRequest): string | undefined {
  if (typeof user === 'string') return user;
  const known = (user ?? {}) as Record<string, unknown>;
  const name = NAMES.map((key) => known[key]).find(
    (value) => typeof value === 'string' || typeof value === 'number',
  );
  return name === undefined ? undefined : String(name);
}
