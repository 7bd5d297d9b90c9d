import {
  type CallHandler,
  Catch,
  type ExecutionContext,
  Inject,
  Injectable,
  type Provider,
  Scope,
  type Type,
  UseFilters,
  UseGuards,
  UseInterceptors,
  UsePipes,
} from '@nestjs/common';
import { APP_FILTER, APP_GUARD, APP_INTERCEPTOR, APP_PIPE } from '@nestjs/core';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import type { WebSocket } from 'ws';

import type { Scenario, Setting } from '../scenario.js';

const kinds = ['guard', 'interceptor', 'pipe', 'filter'] as const;
type Kind = (typeof kinds)[number];

const use = {
  guard: UseGuards,
  interceptor: UseInterceptors,
  pipe: UsePipes,
  filter: UseFilters,
} satisfies Record<Kind, unknown> as Record<Kind, (type: Type) => ClassDecorator & MethodDecorator>;
const tokens: Record<Kind, string> = {
  guard: APP_GUARD,
  interceptor: APP_INTERCEPTOR,
  pipe: APP_PIPE,
  filter: APP_FILTER,
};
const scopes = { singleton: Scope.DEFAULT, request: Scope.REQUEST, transient: Scope.TRANSIENT };
const needs = ['a singleton', 'a request-scoped provider'] as const;

@Injectable()
class Tea {
  readonly name = 'tea';
}

@Injectable({ scope: Scope.REQUEST })
class Cup {
  readonly name = 'cup';
}

/** An enhancer that records whether it was constructed, its instance number, and its dependency. */
function enhancer(kind: Kind, scope: Scope, dependency: Type, { note }: Setting): Type {
  let made = 0;
  @Injectable({ scope })
  class Enhancer {
    readonly number = (made += 1);
    constructor(@Inject(dependency) readonly needed: { name: string }) {}
    say(): void {
      const { number, needed } = this as Partial<this>;
      note(
        number ? `${kind} #${number} with ${needed?.name}` : `${kind} that was never constructed`,
      );
    }
  }
  const methods: Record<Kind, Record<string, (this: Enhancer, ...args: never[]) => unknown>> = {
    guard: {
      canActivate(context: ExecutionContext) {
        if (context.getHandler().name !== 'handleConnection') this.say();
        return true;
      },
    },
    interceptor: {
      intercept(context: ExecutionContext, next: CallHandler) {
        if (context.getHandler().name !== 'handleConnection') this.say();
        return next.handle();
      },
    },
    pipe: {
      transform(value: unknown) {
        this.say();
        return value;
      },
    },
    filter: {
      catch(_error: unknown, host: ExecutionContext) {
        this.say();
        host.switchToWs().getClient<WebSocket>().send('"filtered"');
      },
    },
  };
  Object.assign(Enhancer.prototype, methods[kind]);
  if (kind === 'filter') Catch()(Enhancer);
  return Enhancer;
}

type Place = 'on the class' | 'on the method' | 'as APP_*' | 'in a parameter';

function scenario(
  kind: Kind,
  scopeName: keyof typeof scopes,
  need: (typeof needs)[number],
  place: Place,
): Scenario {
  const scope = scopes[scopeName];
  return {
    title: `enhancer: ${scopeName} ${kind} ${place}, in need of ${need}`,
    app: (setting) => {
      const type = enhancer(kind, scope, need === needs[0] ? Tea : Cup, setting);
      class Gateway {
        hi(data: unknown): unknown {
          if (kind === 'filter') throw new Error('for the filter');
          return { event: 'hi', data };
        }
      }
      const { prototype } = Gateway;
      const method = Object.getOwnPropertyDescriptor(prototype, 'hi')!;
      MessageBody(...(place === 'in a parameter' ? [type] : []))(prototype, 'hi', 0);
      if (place === 'on the method') use[kind](type)(prototype, 'hi', method);
      SubscribeMessage('hi')(prototype, 'hi', method);
      setting.gateway()(Gateway);
      if (place === 'on the class') use[kind](type)(Gateway);
      const global: Provider = { provide: tokens[kind], useClass: type, scope };
      return { providers: [Gateway, Tea, Cup, ...(place === 'as APP_*' ? [global] : [])] };
    },
    async script(session) {
      const [ada, bob] = [await session.connect('ada'), await session.connect('bob')];
      await ada.send('hi', 1);
      await ada.send('hi', 2);
      await bob.send('hi', 3);
    },
  };
}

const everywhere = kinds.flatMap((kind) => {
  const places: Place[] = ['on the class', 'on the method', 'as APP_*'];
  if (kind === 'pipe') places.push('in a parameter');
  return places.flatMap((place) =>
    needs.flatMap((need) =>
      (['singleton', 'request', 'transient'] as const).map((scope) =>
        scenario(kind, scope, need, place),
      ),
    ),
  );
});

export const enhancers: readonly Scenario[] = [...everywhere];
