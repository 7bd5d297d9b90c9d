import type { Hunk } from './compare.js';
import type { Form } from './scenario.js';

/** A line of a transcript, and where it stands. */
export interface LinePlace {
  readonly scenario: string;
  readonly lane: string;
}

/** A difference that is meant to be there: a row of the table in docs/compatibility.md. */
export interface Difference {
  /** What it is about. */
  readonly what: string;
  readonly stock: string;
  readonly here: string;
  readonly why: string;
  /** In which forms. */
  readonly forms: readonly Form[];
  /** Scenarios in which each of these forms has to differ: there it is this library that is right. */
  readonly shownIn?: RegExp;
  /** What a line of stock reads here, where that can be said of every line; the line itself where it reads the same. */
  readonly translate?: (line: string, place: LinePlace) => string | undefined;
  /** Whether it accounts for a whole place in which the transcripts differ. */
  readonly accountsFor?: (hunk: Hunk) => boolean;
}

const isolated = ['isolated', 'scoped'] as const;

const INTERNAL_ERROR =
  '< {"event":"exception","data":{"status":"error","code":"INTERNAL_ERROR","message":"Internal server error"}}';

const UNSERIALIZABLE =
  /^answer: (?:function|symbol|bigint|circle|map|observable of (?:an observable|promises))$/;

/** Everything in which an app on this library differs from one on Nest's own `WsAdapter`. */
export const differences: readonly Difference[] = [
  {
    what: 'A path that no gateway has',
    stock: 'The connection is cut, also where another listener of the server would have taken it',
    here: '404; left alone where the server has other listeners for upgrades',
    why: 'Clients and proxies can tell it from a network that failed',
    forms: ['plain', ...isolated],
    translate: (line) => (line === 'failed: ECONNRESET' ? 'refused with 404' : line),
  },
  {
    what: 'A slash at the end of a path',
    stock: 'Another path: cut',
    here: 'The same path',
    why: 'Proxies and frameworks add and remove it',
    forms: ['plain', ...isolated],
    accountsFor: ({ scenario, lane, stock, here }) =>
      /^gateway: path "\/?a\/?"$/.test(scenario) &&
      (lane === 'user1 at /a/'
        ? stock.every((line) => line === 'refused with 404')
        : here.join() === 'connect,disconnect' && stock.length === 0),
  },
  {
    what: 'The `exception` event',
    stock: '`{ status, message, cause }`: `cause` has the client’s own message in it',
    here: '`{ status, code, message, id }`: `code` is stable, `id` is the message’s own where it had one',
    why: 'Clients tell errors apart by `code`, and messages by `id`',
    forms: isolated,
    translate(line, { scenario }) {
      // There it is a filter of the app that answers.
      if (scenario.startsWith('filters: that answer')) return line;
      const cause =
        /^< \{"event":"exception","data":\{"status":"error","message":(".*?"),"cause":/.exec(line);
      if (!cause) return line;
      const code = codes[cause[1]!] ?? 'WS_EXCEPTION';
      return `< {"event":"exception","data":{"status":"error","code":"${code}","message":${cause[1]}}}`;
    },
  },
  {
    what: 'An answer that JSON cannot express, itself or its `data` (functions, symbols, BigInt, circles, Map, Set, generators, streams, promises and Observables inside)',
    stock: 'An empty binary frame, `{}`, or an uncaught exception that ends the process',
    here: 'The message is answered with `INTERNAL_ERROR`, and the log says why',
    why: 'One answer must not end the process, and is never lost without a word',
    forms: isolated,
    shownIn: UNSERIALIZABLE,
    accountsFor: ({ scenario, stock, here }) =>
      UNSERIALIZABLE.test(scenario) &&
      stock.every(
        (line) =>
          line === '< binary ' ||
          /^< \{.*\}$/.test(line) ||
          /uncaught TypeError: .*(?:BigInt|circular)/.test(line),
      ) &&
      here.every(
        (line) => line === INTERNAL_ERROR || line.startsWith('error UnserializableAnswerError: '),
      ),
  },
  {
    what: 'A filter that throws or rejects',
    stock: 'The client gets no answer; a rejection ends the process, on Nest 12.0 a throw as well',
    here: 'The message is answered with `INTERNAL_ERROR`, and the log says why',
    why: 'One message must not end the process, and no client waits for nothing',
    forms: isolated,
    shownIn: /^filters: that (?:throw|reject)$/,
    accountsFor: ({ scenario, stock, here }) =>
      /^filters: that (?:throw|reject)$/.test(scenario) &&
      stock.every((line) => /^(?:unhandled rejection|uncaught) Error: in the filter$/.test(line)) &&
      // On the first Nest 12 no later message of that client is handled either.
      here.every((line) =>
        [INTERNAL_ERROR, '< "fine"', 'error Error: in the filter'].includes(line),
      ),
  },
  {
    what: '`handleConnection` that throws or rejects',
    stock:
      'The error is uncaught and ends the process; where it is caught, the client stays connected',
    here: 'The connection is closed: 4401 for `UnauthorizedException`, 4403 for `ForbiddenException`, else 1011 with the cause in the log',
    why: 'One connection must not end the process, and who was not let in must not stay',
    forms: isolated,
    shownIn: /^hooks: handleConnection that (?:throws|rejects)/,
    accountsFor: ({ scenario, lane, here }) =>
      /^hooks: handleConnection that (?:throws|rejects)/.test(scenario) &&
      here.every((line) =>
        lane === 'log'
          ? line === 'error Error: secret'
          : /^(?:closed (?:1011 "server error"|4401 "unauthorized")|disconnect (?:1011|4401))$/.test(
              line,
            ),
      ),
  },
  {
    what: 'A pipe behind a parameter decorator of the app that reads its value later',
    stock: 'Gets the promise; since Nest 12.5 the value',
    here: 'Gets the value',
    why: 'That is what pipes are written for',
    forms: isolated,
    shownIn: /^parameters: decorators of the app$/,
    accountsFor: exactly(
      'parameters: decorators of the app',
      ['< ["later piped",[{},"custom","undefined","Object"]]'],
      ['< ["later piped",[{"text":"tea","n":"7"},"custom","undefined","Object"]]'],
    ),
  },
  {
    what: '`ExecutionContext.getArgs()` of a message',
    stock: 'Socket, payload, event, event',
    here: 'Socket, payload, event',
    why: '`getClient()`, `getData()`, `getPattern()` say the same. The repetition is nobody’s intention',
    forms: isolated,
    translate: (line) =>
      line.replace(
        /(\["the socket",[^\]]*?,)("\\"[\w ]+\\"")(?:,\2)+\]/,
        (_all, start: string, event: string) => `${start}${event}]`,
      ),
  },
  {
    what: 'An `HttpException` of 4xx (of a `ValidationPipe`, a guard, a handler) that no filter caught',
    stock: 'The client gets `Internal server error`',
    here: 'The client gets the text of the exception, and the name of its status as `code`',
    why: 'It says what the client did wrong, and the client alone can mend it. 5xx says `Internal server error`',
    forms: isolated,
    accountsFor: ({ stock, here }) =>
      stock.length === here.length &&
      stock.every((line) => line === INTERNAL_ERROR) &&
      here.every((line) => /"code":"(?:BAD_REQUEST|UNAUTHORIZED)"/.test(line)),
  },
  {
    what: 'A transient filter',
    stock: 'Runs as an object that was never constructed; since Nest 12.5 it does not run',
    here: 'Constructed, one per gateway',
    why: 'Its clients get the answers that it was written for',
    forms: isolated,
    accountsFor: ({ scenario, here }) =>
      /^enhancer: transient filter on the (?:class|method), in need of a singleton$/.test(
        scenario,
      ) && here.every((line) => line === '< "filtered"' || isConstructed(line)),
  },
  {
    what: 'An enhancer that is transient, or a singleton in need of something request-scoped, or request-scoped inside a parameter',
    stock: 'Runs as an object that was never constructed: no fields, no dependencies',
    here: 'Constructed: per gateway where it is transient and needs nothing scoped, else per connection',
    why: 'A guard without its fields decides at random. Nest does the same to most of these behind HTTP',
    forms: isolated,
    shownIn:
      /^enhancer: (?:transient (?!filter).* (?:class|method|parameter),|singleton (?!filter as).* of a request-|request .* parameter,)/,
    accountsFor: ({ scenario, stock, here }) =>
      scenario.startsWith('enhancer: ') &&
      stock.length === here.length &&
      stock.every((line) => line.endsWith(' that was never constructed')) &&
      here.every(isConstructed),
  },
  {
    what: 'Guards and other enhancers on a gateway that is provided by `useClass`',
    stock: 'Never run, and nothing is said',
    here: 'Run',
    why: 'A guard that is left out lets everybody in',
    forms: isolated,
    shownIn: /^gateway: provided by useClass, with guards/,
    accountsFor: ({ scenario, here }) =>
      scenario === 'gateway: provided by useClass, with guards on class and method' &&
      (here.join() === 'guard true' || here.join().includes('"FORBIDDEN"')),
  },
  {
    what: '`afterInit` as an arrow property of a gateway with an instance per connection',
    stock: 'Called, as a singleton; not called where the gateway is request-scoped',
    here: 'Not called',
    why: 'There is no instance yet. Write it as a method',
    forms: ['scoped'],
    accountsFor: exactly('gateway: hooks as arrow properties', ['init'], []),
  },
  {
    what: 'A request-scoped or transient `APP_GUARD`, `APP_INTERCEPTOR`, `APP_PIPE`',
    stock: 'Never runs for a gateway, and nothing is said',
    here: 'Runs, as for HTTP',
    why: 'A global guard that is left out lets everybody in',
    forms: isolated,
    shownIn: /^enhancer: (?:request|transient) (?:guard|interceptor|pipe) as APP_/,
    accountsFor: ({ scenario, stock, here }) =>
      /^enhancer: (?:request|transient) \w+ as APP_/.test(scenario) &&
      stock.length === 0 &&
      here.length === 3 &&
      here.every(isConstructed),
  },
];

const isConstructed = (line: string): boolean => /^\w+ #\d with (?:tea|cup)$/.test(line);

const codes: Readonly<Record<string, string>> = {
  '"Internal server error"': 'INTERNAL_ERROR',
  '"Forbidden resource"': 'FORBIDDEN',
};

/** A place that differs in exactly these lines. */
function exactly(
  scenario: string,
  stock: readonly string[],
  here: readonly string[],
): (hunk: Hunk) => boolean {
  return (hunk) =>
    hunk.scenario === scenario &&
    JSON.stringify([hunk.stock, hunk.here]) === JSON.stringify([stock, here]);
}
