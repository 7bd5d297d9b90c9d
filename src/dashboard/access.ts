import {
  type CanActivate,
  type ExecutionContext,
  ForbiddenException,
  HttpException,
  HttpStatus,
  Inject,
  Injectable,
  Logger,
  RequestTimeoutException,
  Scope,
  type Type,
} from '@nestjs/common';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';

import { ClientAddresses } from '../address/client-addresses.js';
import { clientNetwork } from '../address/ip-address.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { InvalidAnswerError } from '../errors/invalid-answer.js';
import { askApp, yesOrNo } from '../handshake/app-answer.js';
import { httpStatusOf } from '../errors/http-status.js';
import { errorText } from '../errors/error-text.js';
import {
  DASHBOARD_OPTIONS,
  type DashboardGuard,
  type DashboardGuardFunction,
  type DashboardRequest,
  type PageOptions,
} from './dashboard.options.js';
import { FailedAttempts, REFILL_MS } from './failed-attempts.js';
import { isFromThisMachine } from './loopback.js';

// Only these statuses count as failed attempts: the error of a broken guard is not a guess at credentials.
const REFUSALS = new Set<number | undefined>([HttpStatus.UNAUTHORIZED, HttpStatus.FORBIDDEN]);

type Decide = (context: ExecutionContext) => boolean | Promise<boolean>;

/** Milliseconds in which the same line about a broken guard is logged once only: pages poll. */
const SAME_LINE_MS = 60_000;

/** Decides who may view the dashboard and who may act, and finds the names of operators. */
@Injectable()
export class DashboardAccess {
  readonly #failures: FailedAttempts;
  readonly #mayLook: Decide;
  readonly #mayAct: Decide;
  readonly #maySeeIds: Decide;
  readonly #logger = new Logger('WebSocketIsolation');
  #latest: { readonly line: string; readonly at: number } | undefined;

  constructor(
    @Inject(DASHBOARD_OPTIONS) private readonly options: PageOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(ISOLATION_OPTIONS) private readonly isolation: ResolvedOptions,
    private readonly addresses: ClientAddresses,
    moduleRef: ModuleRef,
  ) {
    const { guard, canAct, canSeeIds } = options;
    this.#failures = new FailedAttempts(clock);
    this.#mayLook = guard ? decisionOf('guard', guard, moduleRef, options.page) : onThisMachine;
    this.#mayAct = canAct ? decisionOf('canAct', canAct, moduleRef) : nobody;
    // Without a guard, viewers are on this machine itself.
    const byDefault = guard ? nobody : onThisMachine;
    this.#maySeeIds = canSeeIds ? decisionOf('canSeeIds', canSeeIds, moduleRef) : byDefault;
  }

  /** @throws the error of the guard; a 403 if the guard does not admit; a 429 after too many refusals of the address */
  async assertMayLook(context: ExecutionContext): Promise<true> {
    const request = requestOf(context);
    const network = clientNetwork(this.#addressOf(request));
    const putBack = this.#failures.begin(network, request);
    if (!putBack) throw tooManyFailures(context);
    try {
      if (!(await this.#inTime(this.#mayLook(context)))) throw new ForbiddenException();
    } catch (error) {
      if (!REFUSALS.has(httpStatusOf(error))) putBack();
      if (!(error instanceof InvalidAnswerError)) throw error;
      this.#complain(error);
      throw new ForbiddenException();
    }
    putBack();
    this.#failures.letIn(request);
    return true;
  }

  /** Whether a viewer may also act; false if `canAct` throws. The error is logged, unless it is a 401 or 403. */
  mayAct(context: ExecutionContext): Promise<boolean> {
    return this.#isYes(this.#mayAct, context);
  }

  /** Whether a viewer sees the ids of users: those who may act have to know whom they disconnect. */
  async maySeeIds(context: ExecutionContext): Promise<boolean> {
    return (await this.#isYes(this.#maySeeIds, context)) || this.mayAct(context);
  }

  async #isYes(decide: Decide, context: ExecutionContext): Promise<boolean> {
    try {
      return await this.#inTime(decide(context));
    } catch (error) {
      if (!REFUSALS.has(httpStatusOf(error))) this.#complain(error);
      return false;
    }
  }

  /** The name and the address of an operator, for the audit line. */
  async who(context: ExecutionContext): Promise<{ who: string; from: string }> {
    const request = requestOf(context);
    const { whoIs = nameOfUser, guard } = this.options;
    const unnamed = guard ? 'unknown' : 'anonymous';
    let name = unnamed;
    try {
      name = (await this.#inTime(askApp(() => whoIs(request), textOrNothing))) ?? unnamed;
    } catch (error) {
      // The operator has been admitted already. The audit line gets the fallback name.
      this.#complain(error);
    }
    return { who: name.slice(0, 200), from: this.#addressOf(request) };
  }

  #addressOf(request: DashboardRequest): string {
    return this.addresses.of(request) ?? 'unknown';
  }

  async #inTime<T>(answer: T | Promise<T>): Promise<T> {
    const { timeoutMs } = this.isolation.handshake;
    const outcome = await withDeadline(this.clock, timeoutMs, Promise.resolve(answer));
    if (outcome === TIMED_OUT) throw new RequestTimeoutException();
    return outcome;
  }

  #complain(error: unknown): void {
    const line = `A function that ${this.options.page} calls has failed; a guard that fails refuses: ${errorText(error)}`;
    const now = this.clock.now();
    if (this.#latest?.line === line && now - this.#latest.at < SAME_LINE_MS) return;
    this.#latest = { line, at: now };
    this.#logger.warn(line);
  }
}

function textOrNothing(answer: unknown): string | undefined {
  if (answer === undefined || answer === null || typeof answer === 'string')
    return answer ?? undefined;
  throw new InvalidAnswerError('The option whoIs of the dashboard', 'a text', answer);
}

/** The request of an execution context. */
export function requestOf(context: ExecutionContext): DashboardRequest {
  return context.switchToHttp().getRequest<DashboardRequest>();
}

function nobody(): boolean {
  return false;
}

function onThisMachine(context: ExecutionContext): boolean {
  return isFromThisMachine(requestOf(context));
}

function tooManyFailures(context: ExecutionContext): HttpException {
  const seconds = REFILL_MS / 1_000;
  // Both Express and Fastify have this method.
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

function decisionOf(
  option: string,
  guard: DashboardGuard,
  moduleRef: ModuleRef,
  page = 'the dashboard',
): Decide {
  const read = yesOrNo(`The option ${option} of ${page}`);
  const { prototype } = guard as { prototype?: Partial<CanActivate> };
  if (typeof prototype?.canActivate === 'function') {
    const instanceFor = guardClass(guard as Type<CanActivate>, moduleRef);
    return async (context) => {
      const instance = await instanceFor(context);
      return askApp(() => instance.canActivate(context), read);
    };
  }
  const decide = guard as DashboardGuardFunction;
  return async (context) => askApp(() => decide(requestOf(context), context), read);
}

// The app's own instance if the class is a provider; otherwise one that is created here, as Nest does for
// `@UseGuards()`.
function guardClass(
  type: Type<CanActivate>,
  moduleRef: ModuleRef,
): (context: ExecutionContext) => CanActivate | Promise<CanActivate> {
  const scope = scopeOf(type, moduleRef);
  let single: Promise<CanActivate> | undefined;
  const made = async (): Promise<CanActivate> => {
    try {
      return await moduleRef.create(type);
    } catch (error) {
      // The next request tries again.
      single = undefined;
      throw error;
    }
  };
  return (context) => {
    if (scope === undefined) return (single ??= made());
    if (scope === Scope.DEFAULT) return moduleRef.get(type, { strict: false });
    const contextId = ContextIdFactory.create();
    moduleRef.registerRequestByContextId(requestOf(context), contextId);
    return moduleRef.resolve(type, contextId, { strict: false });
  };
}

function scopeOf(type: Type<unknown>, moduleRef: ModuleRef): Scope | undefined {
  try {
    return moduleRef.introspect(type).scope;
  } catch {
    return undefined;
  }
}
