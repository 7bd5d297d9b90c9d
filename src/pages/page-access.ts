import {
  type ExecutionContext,
  ForbiddenException,
  HttpException,
  HttpStatus,
  Inject,
  Injectable,
} from '@nestjs/common';

import { ClientAddresses } from '../address/client-addresses.js';
import { clientNetwork } from '../address/ip-address.js';
import { httpStatusOf } from '../errors/http-status.js';
import { InvalidAnswerError } from '../errors/invalid-answer.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { FailedAttempts, REFILL_MS } from './failed-attempts.js';
import { isFromThisMachine } from './loopback.js';
import { type Decide, PageGuards } from './page-guards.js';
import { type PageRequest, requestOf } from './page-request.js';
import { PAGE_OPTIONS, type PageOptions } from './page.options.js';

// Only these statuses count as failed attempts: the error of a broken guard is not a guess at credentials.
const REFUSALS = new Set<number | undefined>([HttpStatus.UNAUTHORIZED, HttpStatus.FORBIDDEN]);

/** Decides who may look at a page. */
@Injectable()
export class PageAccess {
  readonly #failures: FailedAttempts;
  readonly #mayLook: Decide;

  constructor(
    @Inject(PAGE_OPTIONS) { guard }: PageOptions,
    @Inject(CLOCK) clock: Clock,
    private readonly addresses: ClientAddresses,
    private readonly guards: PageGuards,
  ) {
    this.#failures = new FailedAttempts(clock);
    this.#mayLook = guard ? guards.decisionOf('guard', guard) : onThisMachine;
  }

  /** @throws the error of the guard; a 403 if the guard does not admit; a 429 after too many refusals of the address */
  async assertMayLook(context: ExecutionContext): Promise<true> {
    const request = requestOf(context);
    const network = clientNetwork(this.addressOf(request));
    const putBack = this.#failures.begin(network, request);
    if (!putBack) throw tooManyFailures(context);
    try {
      if (!(await this.#mayLook(context))) throw new ForbiddenException();
    } catch (error) {
      if (!isRefusal(error)) putBack();
      if (!(error instanceof InvalidAnswerError)) throw error;
      this.guards.complain(error);
      throw new ForbiddenException();
    }
    putBack();
    this.#failures.letIn(request);
    return true;
  }

  /** Where a request comes from. */
  addressOf(request: PageRequest): string {
    return this.addresses.of(request) ?? 'unknown';
  }

  /** What a further guard says; false if it throws. The error is logged, unless it is a 401 or 403. */
  async allows(decide: Decide, context: ExecutionContext): Promise<boolean> {
    try {
      return await decide(context);
    } catch (error) {
      if (!isRefusal(error)) this.guards.complain(error);
      return false;
    }
  }
}

/** Admits requests of this machine. */
export async function onThisMachine(context: ExecutionContext): Promise<boolean> {
  return isFromThisMachine(requestOf(context));
}

function isRefusal(error: unknown): boolean {
  return REFUSALS.has(httpStatusOf(error));
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
