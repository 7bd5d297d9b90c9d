import type { Hunk } from './compare.js';
import type { Form } from './scenario.js';

/** The place of a line in a transcript. */
export interface LinePlace {
  readonly scenario: string;
  readonly lane: string;
}

/** An intended difference: a row of the table in docs/compatibility.md. */
export interface Difference {
  /** The subject of the difference. */
  readonly what: string;
  readonly stock: string;
  readonly here: string;
  readonly why: string;
  /** The forms that differ. */
  readonly forms: readonly Form[];
  /** The scenarios in which each of these forms must differ, because the library is right there. */
  readonly shownIn?: RegExp;
  /**
   * Translates a line of stock to the line of the form. Returns the line itself if both are the same, and `undefined`
   * if the form has no such line.
   */
  readonly translate?: (line: string, place: LinePlace) => string | undefined;
  /** Whether the difference explains a hunk. */
  readonly accountsFor?: (hunk: Hunk) => boolean;
}

const isolated = ['isolated', 'scoped'] as const;

const INTERNAL_ERROR =
  '< {"event":"exception","data":{"status":"error","code":"INTERNAL_ERROR","message":"Internal server error"}}';

const UNSERIALIZABLE =
  /^answer: (?:function|symbol|bigint|circle|map|observable of (?:an observable|promises))$/;

/** All differences between an app on this library and an app on Nest's own `WsAdapter`. */
export const differences: readonly Difference[] = [
  {
    what: 'A path that no gateway has',
    stock: 'The connection is cut, even if another listener of the server would have handled it',
    here: '404; not touched if the server has other upgrade listeners',
    why: 'Clients and proxies can distinguish it from a network failure',
    forms: ['plain', ...isolated],
    translate: (line, { scenario }) =>
      line === 'failed: ECONNRESET' && !scenario.startsWith('option: ') ? 'refused with 404' : line,
  },
  {
    what: 'The option `namespace`',
    stock: 'The boot stops, and the text names Socket.IO',
    here: 'The boot stops with `NAMESPACE_UNSUPPORTED`, and the text names the path to write',
    why: 'On plain WebSocket, a path does what a namespace does',
    forms: isolated,
    accountsFor: ({ scenario, here }) =>
      scenario === 'option: namespace' &&
      here.every((line) => line.includes('Gateway has the namespace')),
  },
  {
    what: 'A gateway that two modules provide',
    stock: 'Each module has an instance, and each instance handles every message; nothing says so',
    here: 'The same, with a warning that names both modules',
    why: 'It is hardly ever meant, and shows itself as messages that are handled twice',
    forms: isolated,
    accountsFor: ({ scenario, lane, stock, here }) =>
      scenario === 'gateway: one class in two modules' &&
      lane === 'log' &&
      stock.length === 0 &&
      here.every((line) => line.includes('is in the `providers` of several modules')),
  },
  {
    what: 'A message with an `id`',
    stock: 'The `id` is ignored',
    here: 'The terminal frame carries it, whatever becomes of the message',
    why: 'A client can tell which request an answer belongs to',
    forms: isolated,
    accountsFor: exactly(
      'frames: more than a message',
      ['< {"event":"hi","data":1}'],
      ['< {"event":"hi","data":1,"id":7}'],
    ),
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
    what: 'A path with a parameter: `/room/:room`',
    stock: 'That text alone',
    here: 'Each path with any segment in its place; the values are in `request.params` and `REQUEST.params`',
    why: 'An address names a room, a document or a tenant. A plain gateway keeps the text',
    forms: isolated,
    accountsFor: ({ scenario, lane, stock, here }) =>
      scenario === 'gateway: path with a parameter' &&
      (lane === 'user1 at /room/7'
        ? stock.every((line) => line === 'refused with 404')
        : here.join() === 'connect,disconnect' && stock.length === 0),
  },
  {
    what: 'The `exception` event',
    stock: '`{ status, message, cause }`: `cause` contains the client’s own message',
    here: '`{ status, code, message, id }`: `code` is stable, `id` is the id of the message, if it has one',
    why: 'Clients distinguish errors by `code`, and messages by `id`',
    forms: isolated,
    translate(line, { scenario }) {
      // In these scenarios a filter of the app replies.
      if (scenario.startsWith('filters: that answer')) return line;
      const cause =
        /^< \{"event":"exception","data":\{"status":"error","message":(".*?"),"cause":/.exec(line);
      if (!cause) return line;
      const code = codes[cause[1]!] ?? 'WS_EXCEPTION';
      return `< {"event":"exception","data":{"status":"error","code":"${code}","message":${cause[1]}}}`;
    },
  },
  {
    what: 'An answer that JSON cannot express, itself or its `data` (functions, symbols, BigInt, circles, Map, Set, synchronous generators; streams, promises and Observables inside an object)',
    stock: 'An empty binary frame, `{}`, or an uncaught exception that ends the process',
    here: 'The client gets `INTERNAL_ERROR`, and the log contains the cause',
    why: 'A reply must not end the process, and is never lost silently',
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
    stock: 'The client gets no reply; a rejection ends the process, on Nest 12.0 a throw as well',
    here: 'The client gets `INTERNAL_ERROR`, and the log contains the cause',
    why: 'A message must not end the process, and no client may wait forever for a reply',
    forms: isolated,
    shownIn: /^filters: that (?:throw|reject)$/,
    accountsFor: ({ scenario, stock, here }) =>
      /^filters: that (?:throw|reject)$/.test(scenario) &&
      stock.every((line) => /^(?:unhandled rejection|uncaught) Error: in the filter$/.test(line)) &&
      // On the first Nest 12, later messages of that client are not handled either.
      here.every((line) =>
        [INTERNAL_ERROR, '< "fine"', 'error Error: in the filter'].includes(line),
      ),
  },
  {
    what: '`handleConnection` that throws or rejects',
    stock:
      'The error is uncaught and ends the process; if it is caught, the client stays connected',
    here: 'The connection is closed: 4401 for `UnauthorizedException`, 4403 for `ForbiddenException`, else 1011 with the cause in the log',
    why: 'A connection must not end the process, and a refused client must not stay connected',
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
    what: '`handleDisconnect` that throws or rejects',
    stock: 'The error is uncaught and ends the process',
    here: 'A line in the log',
    why: 'A connection must not end the process',
    forms: isolated,
    shownIn: /^life: disconnect of the gateway that (?:throws|rejects)$/,
    accountsFor: ({ scenario, lane, stock, here }) =>
      /^life: disconnect of the gateway that (?:throws|rejects)$/.test(scenario) &&
      (lane === 'log'
        ? here.join() === 'error Error: planned'
        : stock.every((line) => /^(?:uncaught|unhandled rejection) Error: planned$/.test(line))),
  },
  {
    what: 'A pipe behind a parameter decorator of the app that reads its value later',
    stock: 'Gets the promise; since Nest 12.5 the value',
    here: 'Gets the value',
    why: 'Pipes are written for values, not for promises',
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
    why: '`getClient()`, `getData()`, `getPattern()` return the same values. The repetition is not intended',
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
    why: 'It names a fault of the client, which only the client can fix. 5xx still gives `Internal server error`',
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
    why: 'Clients get the replies of the filter',
    forms: isolated,
    accountsFor: ({ scenario, here }) =>
      /^enhancer: transient filter on the (?:class|method), in need of a singleton$/.test(
        scenario,
      ) && here.every((line) => line === '< "filtered"' || isConstructed(line)),
  },
  {
    what: 'An enhancer that is transient, or a singleton with a request-scoped dependency, or request-scoped inside a parameter',
    stock: 'Runs as an object that was never constructed: no fields, no dependencies',
    here: 'Constructed: per gateway if it is transient without scoped dependencies, else per connection',
    why: 'A guard without its fields decides at random. Nest does the same with most of them for HTTP',
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
    stock: 'Never run, without a warning',
    here: 'Run',
    why: 'A guard that does not run admits every client',
    forms: isolated,
    shownIn: /^gateway: provided by useClass, with guards/,
    accountsFor: ({ scenario, here }) =>
      scenario === 'gateway: provided by useClass, with guards on class and method' &&
      (here.join() === 'guard true' || here.join().includes('"FORBIDDEN"')),
  },
  {
    what: '`afterInit` as an arrow property of a gateway with an instance per connection',
    stock: 'Called for a singleton; not called if the gateway is request-scoped',
    here: 'Not called',
    why: 'There is no instance yet. Write it as a method',
    forms: ['scoped'],
    accountsFor: exactly('gateway: hooks as arrow properties', ['init'], []),
  },
  {
    what: 'A request-scoped or transient `APP_GUARD`, `APP_INTERCEPTOR`, `APP_PIPE`',
    stock: 'Never runs for a gateway, without a warning',
    here: 'Runs, like for HTTP',
    why: 'A global guard that does not run admits every client',
    forms: isolated,
    shownIn: /^enhancer: (?:request|transient) (?:guard|interceptor|pipe) as APP_/,
    accountsFor: ({ scenario, stock, here }) =>
      /^enhancer: (?:request|transient) \w+ as APP_/.test(scenario) &&
      stock.length === 0 &&
      here.length === 3 &&
      here.every(isConstructed),
  },
  {
    what: 'A port of its own with `path` and `host`',
    stock: 'Listens on all interfaces',
    here: 'Listens on `host`',
    why: 'A gateway that is meant for loopback must not be open to the network',
    forms: ['plain', ...isolated],
    shownIn: /^option: host and path$/,
    accountsFor: ({ scenario, lane, here }) =>
      scenario === 'option: host and path' &&
      (lane === 'server' || lane === 'ada at 127.0.0.1:/own') &&
      here.every((line) => line === 'failed: ECONNREFUSED'),
  },
  {
    what: 'A port of its own that is taken',
    stock:
      'An uncaught error that ends the process; without `path` a line in the log, and an app without that gateway',
    here: 'The app does not start: `PORT_UNAVAILABLE`',
    why: 'An app that no client can connect to must not count as started',
    forms: ['plain', ...isolated],
    shownIn: /^life: a port of its own that is taken/,
    accountsFor: ({ scenario, lane, stock, here }) =>
      scenario === 'life: a port of its own that is taken' &&
      [...stock, ...here].every((line) =>
        lane === 'ada'
          ? !line.startsWith('refused') || line === 'refused with 503'
          : /EADDRINUSE|^(?:connect|disconnect)$|reason=starting/.test(line),
      ),
  },
  {
    what: 'A client that connects to a gateway’s own port before the app has bootstrapped, after the bootstrap has failed, or while the app closes',
    stock:
      'Accepted: before `onModuleInit` of the providers that its handlers need, and after `onModuleDestroy`',
    here: '503 with `Retry-After`, and a line in the log',
    why: 'The providers that handlers need are not ready yet, or already destroyed',
    forms: isolated,
    shownIn:
      /^life: (?:a client that comes during|(?:module init|bootstrap) that|closes during handshakes)/,
    accountsFor: ({ scenario, lane, here }) =>
      /^life: (?:a client that comes during|(?:module init|bootstrap) that|closes during handshakes)/.test(
        scenario,
      ) &&
      here.every((line) =>
        lane === 'log'
          ? /^warn connection-refused reason=(?:starting|draining) status=503 /.test(line)
          : line === 'refused with 503',
      ),
  },
  {
    what: 'Clients of an app that closes',
    stock:
      'Cut (1006), after `onModuleDestroy` and `beforeApplicationShutdown`; running handlers are not awaited',
    here: '1001, and `handleDisconnect` and disposers run before `onModuleDestroy`',
    why: 'Clients can distinguish it from a network failure, and the dependencies of disposers still work',
    forms: isolated,
    shownIn: /^life: (?:closes (?:with|twice|while)|.*, with clients$)/,
    accountsFor: ({ scenario, lane, stock, here }) =>
      scenario.startsWith('life: ') &&
      (lane === 'server'
        ? [...stock, ...here].every((line) => LEAVING.has(line))
        : stock.every((line) => line === 'closed 1006 ""') &&
          here.every((line) => /^closed 1001 .*draining.*retryAfterMs/.test(line))),
  },
  {
    what: '`verifyClient` or `handleProtocols` that throws',
    stock: 'The connection is cut, without a log line',
    here: '500, and the log contains the cause',
    why: 'Clients and proxies can distinguish it from a network failure',
    forms: ['plain', ...isolated],
    shownIn: /^option: \w+ that throws$/,
    translate: (line, { scenario }) =>
      line === 'failed: ECONNRESET' && /^option: \w+ that throws$/.test(scenario)
        ? 'refused with 500'
        : line,
    accountsFor: ({ scenario, lane, stock, here }) =>
      /^option: \w+ that throws$/.test(scenario) &&
      lane === 'log' &&
      stock.length === 0 &&
      here.join() === 'error Error: planned',
  },
  {
    what: '`verifyClient` that returns neither `true` nor `false`',
    stock:
      'Any truthy result admits the client, even a promise of `false`; any other refuses it with 401',
    here: 'A promise is awaited; a result that is neither gives 500, and the log contains the cause',
    why: 'An `async` check would admit every client, and a missing `return` would look like a wrong password',
    forms: isolated,
    shownIn: /^option: verifyClient that returns (?:nothing|a promise)/,
    accountsFor: ({ scenario, lane, stock, here }) =>
      (scenario === 'option: verifyClient that returns a promise of false' &&
        (lane === 'ada' ? stock.includes('open') || here.length === 0 : lane === 'server') &&
        here.every((line) => line === 'refused with 401')) ||
      (scenario === 'option: verifyClient that returns nothing' &&
        (here.join() === 'refused with 500' ||
          here.join().startsWith('error InvalidAnswerError: The function verifyClient'))),
  },
  {
    what: 'A client that is refused',
    stock: 'Nothing in the log',
    here: 'A line in the log, with the reason, bounded in number',
    why: 'In an incident, operators first need the reason why clients cannot connect',
    forms: isolated,
    shownIn: /^option: verifyClient that (?:says|calls back with) no$/,
    accountsFor: ({ scenario, lane, stock, here }) =>
      scenario.startsWith('option: ') &&
      lane === 'log' &&
      stock.length === 0 &&
      here.length === 1 &&
      /^warn (?:connection-refused |teapot$|The Origin is )/.test(here[0]!),
  },
  {
    what: 'A page of another site',
    stock: 'Accepted',
    here: '403, unless `handshake.allowedOrigins` names it',
    why: 'Browsers send the cookies of a user with connections from any page',
    forms: isolated,
    shownIn: /^option: none, with a page of another site$/,
    accountsFor: ({ scenario, lane, here }) =>
      scenario === 'option: none, with a page of another site' &&
      (lane === 'ada' || lane === 'server') &&
      here.every((line) => line === 'refused with 403'),
  },
  {
    what: 'The subprotocol of a client whose first offer is a token',
    stock: 'The response contains the token itself',
    here: 'The first one that is not a credential',
    why: 'Browsers can send a token only there, and responses are written to logs',
    forms: isolated,
    shownIn: /a token first$/,
    translate: (line, { scenario }) =>
      scenario.endsWith('a token first') && line === 'open, protocol eyJhbGciOi.payload'
        ? 'open, protocol chat'
        : line,
  },
  {
    what: 'A message of more than 64 KiB without `maxPayload`',
    stock: 'Accepted, up to 100 MiB',
    here: 'Closed with 1009: `inbound.maxPayloadBytes`',
    why: 'A few clients with large messages would fill the memory',
    forms: isolated,
    shownIn: /^option: no maxPayload/,
    accountsFor: ({ scenario, here }) =>
      scenario === 'option: no maxPayload, 70,000 bytes' &&
      ['closed 1009 ""', 'disconnect 1009'].includes(here.join()),
  },
  {
    what: 'A frame that `ws` refuses: too large, too many fragments, not UTF-8',
    stock: 'An error in the log for each; `handleDisconnect` gets 1006',
    here: 'Counted, not logged; `handleDisconnect` gets the code that the client gets (1009, 1008, 1007)',
    why: 'Clients must not fill the log',
    forms: isolated,
    shownIn: /^option: (?:text that is not UTF-8|max\w+ below what is sent)$/,
    translate: (line, { scenario, lane }) =>
      lane === 'log' &&
      /^error (?:RangeError|Error): (?:Max payload|Too many message fragments|Invalid WebSocket frame)/.test(
        line,
      )
        ? undefined
        : lane === 'server' && line === 'disconnect 1006' && scenario in REFUSED_FRAMES
          ? `disconnect ${REFUSED_FRAMES[scenario]}`
          : line,
  },
  {
    what: '`instrument.instanceDecorator` that puts a proxy around every instance',
    stock: 'Works',
    here: 'The app does not start: `PROXIED_INSTANCE` asks the app to wrap only its own classes',
    why: 'The library keeps its state in private fields, which a proxy cannot read',
    forms: ['plain', ...isolated],
    shownIn: /a proxy around each$/,
    accountsFor: ({ scenario, lane, here }) =>
      scenario.endsWith('a proxy around each') &&
      (here.length === 0 ||
        (['script', 'log'].includes(lane) &&
          here.join().includes('`instrument.instanceDecorator` of NestFactory.create()'))),
  },
];

const LEAVING = new Set(['module destroy', 'before shutdown', 'disconnect']);

const REFUSED_FRAMES: Readonly<Record<string, number>> = {
  'option: text that is not UTF-8': 1007,
  'option: maxFragments below what is sent': 1008,
  'option: maxPayload below what is sent': 1009,
};

const isConstructed = (line: string): boolean => /^\w+ #\d with (?:tea|cup)$/.test(line);

const codes: Readonly<Record<string, string>> = {
  '"Internal server error"': 'INTERNAL_ERROR',
  '"Forbidden resource"': 'FORBIDDEN',
};

/** Returns a predicate for a hunk with exactly these lines. */
function exactly(
  scenario: string,
  stock: readonly string[],
  here: readonly string[],
): (hunk: Hunk) => boolean {
  return (hunk) =>
    hunk.scenario === scenario &&
    JSON.stringify([hunk.stock, hunk.here]) === JSON.stringify([stock, here]);
}
