import {
  type ArgumentsHost,
  type CallHandler,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  ForbiddenException,
  HttpException,
  type NestInterceptor,
  type Type,
  UnauthorizedException,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import {
  BaseWsExceptionFilter,
  MessageBody,
  SubscribeMessage,
  WsException,
} from '@nestjs/websockets';
import { catchError, map, of, tap, throwError, timeout, TimeoutError } from 'rxjs';
import type { WebSocket } from 'ws';

import type { Scenario, Setting } from '../scenario.js';

const say = (host: ArgumentsHost, text: string): void =>
  host.switchToWs().getClient<WebSocket>().send(JSON.stringify(text));

class TeaError extends Error {}
class ColdTeaError extends TeaError {}

const fail = (): never => {
  throw new TeaError('for the filter');
};

const by = (intercept: NestInterceptor['intercept']) => UseInterceptors({ intercept });

const filter = (
  name: string,
  kinds: Type[],
  act: (error: unknown, host: ArgumentsHost) => unknown = (_error, host) => say(host, name),
): ExceptionFilter => {
  @Catch(...kinds)
  class Named implements ExceptionFilter {
    catch(error: unknown, host: ArgumentsHost): unknown {
      return act(error, host);
    }
  }
  return new Named();
};

const guard = (answer: (context: ExecutionContext) => unknown): CanActivate => ({
  canActivate: (context) =>
    (context.getHandler().name === 'handleConnection' ? true : answer(context)) as boolean,
});

const trace = ({ note }: Setting, name: string) => ({
  guard: guard(() => {
    note(`guard ${name}`);
    return true;
  }),
  interceptor: {
    intercept(context: ExecutionContext, next: CallHandler) {
      if (context.getHandler().name === 'handleConnection') return next.handle();
      note(
        `before ${name}: ${context.getType()} ${context.getClass().name} ${context.getHandler().name}`,
      );
      return next.handle().pipe(tap(() => note(`after ${name}`)));
    },
  } satisfies NestInterceptor,
  pipe: {
    transform(value: unknown) {
      note(`pipe ${name}`);
      return value;
    },
  },
});

function asking(title: string, make: (setting: Setting) => Type, ...events: string[]): Scenario {
  return {
    title,
    app: (setting) => ({ providers: [make(setting)] }),
    async script(session) {
      const ada = await session.connect('ada');
      for (const event of events) await ada.send(event, { text: 'tea' });
      await ada.send('fine');
    },
  };
}

export const filters: readonly Scenario[] = [
  asking(
    'filters: of class and method, by kind',
    ({ gateway }) => {
      @gateway()
      @UseFilters(filter('class: all', []), filter('class: tea', [TeaError]))
      class Gateway {
        @SubscribeMessage('tea') tea(): never {
          throw new TeaError('x');
        }
        @SubscribeMessage('cold') cold(): never {
          throw new ColdTeaError('x');
        }
        @UseFilters(filter('method: tea', [TeaError]), filter('method: cold', [ColdTeaError]))
        @SubscribeMessage('near')
        near(): never {
          throw new ColdTeaError('x');
        }
        @SubscribeMessage('text') text(): never {
          throw 'a text';
        }
        @SubscribeMessage('ws') ws(): never {
          throw new WsException('x');
        }
        @SubscribeMessage('fine') fine(): string {
          return 'fine';
        }
      }
      return Gateway;
    },
    'tea',
    'cold',
    'near',
    'text',
    'ws',
  ),
  asking(
    'filters: that answer, say nothing, throw, reject, extend the base',
    ({ gateway }) => {
      @Catch()
      class Extended extends BaseWsExceptionFilter {
        override catch(error: unknown, host: ArgumentsHost): void {
          const text = error instanceof HttpException ? error.message : 'unknown';
          // oxlint-disable-next-line promise/valid-params -- a filter, not a promise
          super.catch(new WsException(text), host);
        }
      }
      @gateway()
      class Gateway {
        @UseFilters(filter('', [], () => 'an answer'))
        @SubscribeMessage('answering')
        answering(): unknown {
          return fail();
        }
        @UseFilters(filter('', [], () => of('a stream')))
        @SubscribeMessage('stream')
        stream(): unknown {
          return fail();
        }
        @UseFilters(new Extended())
        @SubscribeMessage('extended')
        extended(): unknown {
          throw new ForbiddenException('no tea');
        }
        @UseFilters(new BaseWsExceptionFilter({ includeCause: false }))
        @SubscribeMessage('base')
        base(): unknown {
          throw new WsException('no cause');
        }
        @SubscribeMessage('fine') fine(): string {
          return 'fine';
        }
      }
      return Gateway;
    },
    'answering',
    'stream',
    'extended',
    'base',
  ),
  asking(
    'filters: that throw',
    ({ gateway }) => {
      const broken = filter('', [], () => {
        throw new Error('in the filter');
      });
      @gateway()
      class Gateway {
        @UseFilters(broken)
        @SubscribeMessage('throwing')
        throwing(): unknown {
          throw new TeaError('for the filter');
        }
        @SubscribeMessage('fine') fine(): string {
          return 'fine';
        }
      }
      return Gateway;
    },
    'throwing',
  ),
  asking(
    'filters: that reject',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @UseFilters(filter('', [], () => Promise.reject(new Error('in the filter'))))
        @SubscribeMessage('rejecting')
        rejecting(): unknown {
          throw new TeaError('for the filter');
        }
        @SubscribeMessage('fine') fine(): string {
          return 'fine';
        }
      }
      return Gateway;
    },
    'rejecting',
  ),
  asking(
    'guards: every answer',
    ({ gateway }) => {
      const answers: Record<string, () => unknown> = {
        true: () => true,
        false: () => false,
        'a promise of true': async () => true,
        'a promise of false': async () => false,
        'a stream of true': () => of(true),
        'a stream of true, false': () => of(true, false),
        undefined: () => undefined,
        text: () => 'yes',
        one: () => 1,
        unauthorized: () => {
          throw new UnauthorizedException();
        },
        refused: () => {
          throw new WsException('refused');
        },
        rejected: () => Promise.reject(new WsException('rejected')),
      };
      class Gateway {
        fine(): string {
          return 'fine';
        }
      }
      SubscribeMessage('fine')(
        Gateway.prototype,
        'fine',
        Object.getOwnPropertyDescriptor(Gateway.prototype, 'fine')!,
      );
      for (const [event, answer] of Object.entries(answers)) {
        const value = (): string => `in: ${event}`;
        Object.defineProperty(Gateway.prototype, event, { value });
        const descriptor = Object.getOwnPropertyDescriptor(Gateway.prototype, event)!;
        UseGuards(guard(answer))(Gateway.prototype, event, descriptor);
        SubscribeMessage(event)(Gateway.prototype, event, descriptor);
      }
      gateway()(Gateway);
      return Gateway;
    },
    'true',
    'false',
    'a promise of true',
    'a promise of false',
    'a stream of true',
    'a stream of true, false',
    'undefined',
    'text',
    'one',
    'unauthorized',
    'refused',
    'rejected',
  ),
  asking(
    'interceptors: that change, replace, catch, time out, call never or twice',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @by((_context, next) => next.handle().pipe(map((value) => ({ event: 'changed', value }))))
        @SubscribeMessage('changed')
        changed(): unknown {
          return 1;
        }
        @by(() => of('replaced'))
        @SubscribeMessage('replaced')
        replaced(): unknown {
          return 1;
        }
        @by((_context, next) => next.handle().pipe(catchError(() => of('caught'))))
        @SubscribeMessage('caught')
        caught(): unknown {
          throw new Error('x');
        }
        @by((_context, next) =>
          next.handle().pipe(
            timeout(5),
            catchError((error: unknown) =>
              throwError(() => new WsException(error instanceof TimeoutError ? 'late' : 'x')),
            ),
          ),
        )
        @SubscribeMessage('late')
        late(): unknown {
          return new Promise(() => undefined);
        }
        @by(async (_context, next) => next.handle())
        @SubscribeMessage('async')
        async(): unknown {
          return 'async';
        }
        @by(() => {
          throw new WsException('in an interceptor');
        })
        @SubscribeMessage('throwing')
        throwing(): unknown {
          return 1;
        }
        @by((_context, next) => next.handle().pipe(map((value) => value as unknown)))
        @SubscribeMessage('stream')
        stream(): unknown {
          return of(1, 2);
        }
        @SubscribeMessage('fine') fine(): string {
          return 'fine';
        }
      }
      return Gateway;
    },
    'changed',
    'replaced',
    'caught',
    'async',
    'throwing',
    'stream',
  ),
  {
    title: 'enhancers in their order: global, class, method',
    app: (setting) => {
      const [cls, method] = [trace(setting, 'class'), trace(setting, 'method')];
      @setting.gateway()
      @UseGuards(cls.guard)
      @UseInterceptors(cls.interceptor)
      @UsePipes(cls.pipe)
      class Gateway {
        @UseGuards(method.guard)
        @UseInterceptors(method.interceptor)
        @UsePipes(method.pipe)
        @SubscribeMessage('hi')
        hi(@MessageBody({ transform: (value: unknown) => value }) data: unknown): unknown {
          setting.note('handler');
          return { event: 'hi', data };
        }
      }
      return { providers: [Gateway] };
    },
    prepare(app, setting) {
      const global = trace(setting, 'global');
      app.useGlobalGuards(global.guard);
      app.useGlobalInterceptors(global.interceptor);
      app.useGlobalPipes(global.pipe);
      app.useGlobalFilters(filter('global', []));
    },
    async script(session) {
      const ada = await session.connect('ada');
      await ada.send('hi', 1);
    },
  },
];
