import {
  type CanActivate,
  type ExecutionContext,
  ForbiddenException,
  HttpException,
  HttpStatus,
  Inject,
  Injectable,
  Scope,
  type Type,
} from '@nestjs/common';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';

import { type Clock, CLOCK } from '../clock/clock.js';
import { httpStatusOf } from '../handshake/authentication.js';
import {
  DASHBOARD_OPTIONS,
  type DashboardGuard,
  type DashboardGuardFunction,
  type DashboardRequest,
  type ResolvedDashboardOptions,
} from './dashboard.options.js';
import { FailedAttempts, REFILL_MS } from './failed-attempts.js';
import { isFromThisMachine } from './loopback.js';

// A guard that is broken is not somebody who guesses.
const REFUSALS = new Set<number | undefined>([HttpStatus.UNAUTHORIZED, HttpStatus.FORBIDDEN]);

type Decide = (context: ExecutionContext) => Promise<boolean>;

/** Who may look at the dashboard, who may act, and what they are called. */
@Injectable()
export class DashboardAccess {
  readonly #failures: FailedAttempts;
  readonly #mayLook: Decide;
  readonly #mayAct: Decide;

  constructor(
    @Inject(DASHBOARD_OPTIONS) private readonly options: ResolvedDashboardOptions,
    @Inject(CLOCK) clock: Clock,
    moduleRef: ModuleRef,
  ) {
    this.#failures = new FailedAttempts(clock);
    this.#mayLook = options.guard ? decisionOf(options.guard, moduleRef) : onThisMachine;
    this.#mayAct = options.canAct ? decisionOf(options.canAct, moduleRef) : nobody;
  }

  /** @throws what the guard throws, a 403 where it says no, a 429 where it has said no too often */
  async assertMayLook(context: ExecutionContext): Promise<true> {
    const request = requestOf(context);
    const address = addressOf(request);
    const putBack = this.#failures.begin(address, request);
    if (!putBack) throw tooManyFailures(context);
    try {
      if (!(await this.#mayLook(context))) throw new ForbiddenException();
    } catch (error) {
      if (!REFUSALS.has(httpStatusOf(error))) putBack();
      throw error;
    }
    putBack();
    this.#failures.letIn(request);
    return true;
  }

  /** Whether those who may look may also act. A guard that throws says no. */
  async mayAct(context: ExecutionContext): Promise<boolean> {
    try {
      return await this.#mayAct(context);
    } catch {
      return false;
    }
  }

  /** How somebody is called, and where they sit: for the audit line. */
  who(context: ExecutionContext): { who: string; from: string } {
    const request = requestOf(context);
    const { whoIs = nameOfUser, guard } = this.options;
    const name = whoIs(request) ?? (guard ? 'unknown' : 'anonymous');
    return { who: name.slice(0, 200), from: addressOf(request) };
  }
}

/** The request behind an execution context. */
export function requestOf(context: ExecutionContext): DashboardRequest {
  return context.switchToHttp().getRequest<DashboardRequest>();
}

async function nobody(): Promise<boolean> {
  return false;
}

async function onThisMachine(context: ExecutionContext): Promise<boolean> {
  return isFromThisMachine(requestOf(context));
}

function addressOf({ ip, socket }: DashboardRequest): string {
  return ip ?? socket.remoteAddress ?? 'unknown';
}

function tooManyFailures(context: ExecutionContext): HttpException {
  const seconds = REFILL_MS / 1_000;
  // Express and Fastify have this method both.
  const response = context
    .switchToHttp()
    .getResponse<{ header(name: string, value: string): void }>();
  response.header('Retry-After', String(seconds));
  return new HttpException(
    `Too many requests from this address were refused. Try again in ${seconds} s.`,
    HttpStatus.TOO_MANY_REQUESTS,
  );
}

const NAMES = ['userId', 'sub', 'id', 'username', 'email', 'name'] as const;

function nameOfUser({ user }: DashboardRequest): string | undefined {
  if (typeof user === 'string') return user;
  const known = (user ?? {}) as Record<string, unknown>;
  const name = NAMES.map((key) => known[key]).find(
    (value) => typeof value === 'string' || typeof value === 'number',
  );
  return name === undefined ? undefined : String(name);
}

function decisionOf(guard: DashboardGuard, moduleRef: ModuleRef): Decide {
  const { prototype } = guard as { prototype?: Partial<CanActivate> };
  if (typeof prototype?.canActivate === 'function') {
    return guardClass(guard as Type<CanActivate>, moduleRef);
  }
  const decide = guard as DashboardGuardFunction;
  return async (context) => decide(requestOf(context), context);
}

// The app's own instance where the class is a provider; otherwise one made here, as Nest does for `@UseGuards()`.
function guardClass(type: Type<CanActivate>, moduleRef: ModuleRef): Decide {
  const scope = scopeOf(type, moduleRef);
  let single: Promise<CanActivate> | undefined;
  return async (context) => {
    let guard: CanActivate;
    if (scope === undefined) guard = await (single ??= moduleRef.create(type));
    else if (scope === Scope.DEFAULT) guard = moduleRef.get(type, { strict: false });
    else {
      const contextId = ContextIdFactory.create();
      moduleRef.registerRequestByContextId(requestOf(context), contextId);
      guard = await moduleRef.resolve(type, contextId, { strict: false });
    }
    const answer = guard.canActivate(context);
    return isObservable(answer) ? lastValueFrom(answer) : answer;
  };
}

function scopeOf(type: Type<unknown>, moduleRef: ModuleRef): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined;
  }
}
