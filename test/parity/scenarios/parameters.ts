import {
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  type ModuleMetadata,
  ParseIntPipe,
  type PipeTransform,
  type Type,
  ValidationPipe,
} from '@nestjs/common';
import {
  Ack,
  ConnectedSocket,
  MessageBody,
  SubscribeMessage,
  WebSocketServer,
} from '@nestjs/websockets';
import { IsInt } from 'class-validator';
import type { WebSocket } from 'ws';

import type { Scenario, Setting } from '../scenario.js';

const describe = (value: unknown): string => {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'object' && value !== null && 'readyState' in value) return 'the socket';
  return value === undefined ? 'undefined' : JSON.stringify(value);
};

const Describe = createParamDecorator((data: unknown, context: ExecutionContext) => {
  const ws = context.switchToWs();
  return [
    describe(data),
    context.getType(),
    context.getClass().name,
    context.getHandler().name,
    context.getArgs().map(describe),
    describe(ws.getClient()),
    describe(ws.getData()),
    ws.getPattern(),
  ];
});
const Later = createParamDecorator(async (_data: unknown, context: ExecutionContext) => {
  await new Promise(setImmediate);
  return context.switchToWs().getData<unknown>();
});
const Throwing = createParamDecorator(() => {
  throw new Error('in a decorator');
});

class Order {
  @IsInt() amount!: number;
}

@Injectable()
class Suffix implements PipeTransform {
  transform(
    value: unknown,
    metadata: { type: string; data?: unknown; metatype?: Type | undefined },
  ): unknown {
    return [value, metadata.type, describe(metadata.data), metadata.metatype?.name];
  }
}

const ask = (event: string, ...payloads: unknown[]) => ({
  event,
  payloads: payloads.length > 0 ? payloads : [{ text: 'tea', n: '7' }],
});

function scenario(
  title: string,
  app: (setting: Setting) => ModuleMetadata,
  ...asked: { event: string; payloads: readonly unknown[] }[]
): Scenario {
  return {
    title: `parameters: ${title}`,
    app,
    async script(session) {
      const ada = await session.connect('ada');
      for (const { event, payloads } of asked) {
        for (const payload of payloads) await ada.ask(event, payload);
      }
    },
  };
}

export const parameters: readonly Scenario[] = [
  scenario(
    'none declared',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @SubscribeMessage('none') none(...args: unknown[]): unknown {
          return ['none', args.map(describe)];
        }
      }
      return { providers: [Gateway] };
    },
    ask('none'),
  ),
  scenario(
    'body, socket, fields of the body',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @SubscribeMessage('body') body(@MessageBody() body: unknown, other: unknown): unknown {
          return ['body', describe(body), describe(other)];
        }
        @SubscribeMessage('socket')
        socket(other: unknown, @ConnectedSocket() client: unknown): unknown {
          return ['socket', describe(other), describe(client)];
        }
        @SubscribeMessage('field') field(@MessageBody('text') text: unknown): unknown {
          return ['field', describe(text)];
        }
        @SubscribeMessage('many') many(
          @MessageBody('n') n: unknown,
          @MessageBody() body: unknown,
          @MessageBody('text') text: unknown,
        ): unknown {
          return ['many', describe(n), describe(body), describe(text)];
        }
        @SubscribeMessage('proto') proto(@MessageBody('__proto__') value: unknown): unknown {
          return ['proto', describe(value)];
        }
        @SubscribeMessage('empty') empty(@MessageBody('') value: unknown): unknown {
          return ['empty', describe(value)];
        }
      }
      return { providers: [Gateway] };
    },
    ask('body'),
    ask('body', null, 0, 'text', [1]),
    ask('socket'),
    ask('field', { text: 'tea' }, null, undefined, 0, 'text', [1], { text: null }),
    ask('many'),
    ask('proto', {}, null),
    ask('empty'),
  ),
  scenario(
    '@Ack',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @SubscribeMessage('ack') ack(@Ack() ack: unknown, @MessageBody() body: unknown): unknown {
          return ['ack', describe(ack), describe(body)];
        }
      }
      return { providers: [Gateway] };
    },
    ask('ack'),
  ),
  scenario(
    'decorators of the app',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @SubscribeMessage('described') described(@Describe('x') seen: unknown): unknown {
          return ['described', seen];
        }
        @SubscribeMessage('later') later(@Later() seen: unknown): unknown {
          return ['later', describe(seen)];
        }
        @SubscribeMessage('piped') piped(@Describe('x', Suffix) seen: unknown): unknown {
          return ['piped', seen];
        }
        @SubscribeMessage('later piped') laterPiped(@Later(Suffix) seen: unknown): unknown {
          return ['later piped', seen];
        }
        @SubscribeMessage('throwing') throwing(@Throwing() _seen: unknown): unknown {
          return ['throwing'];
        }
      }
      return { providers: [Gateway] };
    },
    ask('described'),
    ask('later'),
    ask('piped'),
    ask('later piped'),
    ask('throwing'),
  ),
  scenario(
    'pipes',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @SubscribeMessage('int') int(@MessageBody('n', ParseIntPipe) n: number): unknown {
          return ['int', n];
        }
        @SubscribeMessage('class') byClass(@MessageBody(Suffix) body: object): unknown {
          return ['class', body];
        }
        @SubscribeMessage('instance') instance(@MessageBody('n', new Suffix()) n: string): unknown {
          return ['instance', n];
        }
        @SubscribeMessage('two') two(@MessageBody('n', ParseIntPipe, Suffix) n: number): unknown {
          return ['two', n];
        }
        @SubscribeMessage('socket')
        socket(
          @((ConnectedSocket as unknown as (pipe: Type) => ParameterDecorator)(Suffix))
          client: WebSocket,
        ): unknown {
          return ['socket', describe((client as unknown as unknown[])[0] ?? client)];
        }
        @SubscribeMessage('order') order(
          @MessageBody(new ValidationPipe({ transform: true })) order: Order,
        ): unknown {
          return ['order', order instanceof Order, order];
        }
        @SubscribeMessage('async') async(
          @MessageBody('n', { transform: async (value: string) => `${value}!` }) n: string,
        ): unknown {
          return ['async', n];
        }
      }
      return { providers: [Gateway] };
    },
    ask('int', { n: '7' }, { n: 'x' }, null),
    ask('class'),
    ask('instance'),
    ask('two'),
    ask('socket'),
    ask('order', { amount: 1 }, { amount: 'x' }, null),
    ask('async'),
  ),
  {
    title: 'parameters: global pipes',
    app: ({ gateway }) => {
      @gateway()
      class Gateway {
        @SubscribeMessage('order') order(@MessageBody() order: Order): unknown {
          return ['order', order instanceof Order, order];
        }
        @SubscribeMessage('untyped') untyped(_client: unknown, order: Order): unknown {
          return ['untyped', order instanceof Order, order];
        }
      }
      return { providers: [Gateway] };
    },
    prepare: (app) =>
      void app.useGlobalPipes(new ValidationPipe({ transform: true, whitelist: true })),
    async script(session) {
      const ada = await session.connect('ada');
      await ada.ask('order', { amount: 1, other: 2 });
      await ada.ask('order', { amount: 'x' });
      await ada.ask('untyped', { amount: 1, other: 2 });
    },
  },
  scenario(
    'inherited with their decorators, overridden without',
    ({ gateway }) => {
      class Parent {
        @SubscribeMessage('kept') kept(@MessageBody('text') text: unknown): unknown {
          return ['kept', describe(text)];
        }
        @SubscribeMessage('overridden') overridden(@MessageBody('text') text: unknown): unknown {
          return ['parent', describe(text)];
        }
        @SubscribeMessage('again') again(@MessageBody('text') text: unknown): unknown {
          return ['parent', describe(text)];
        }
      }
      @gateway()
      class Gateway extends Parent {
        override overridden(text: unknown): unknown {
          return ['child', describe(text)];
        }
        @SubscribeMessage('again')
        override again(text: unknown): unknown {
          return ['child', describe(text)];
        }
      }
      return { providers: [Gateway] };
    },
    ask('kept'),
    ask('overridden'),
    ask('again'),
  ),
  scenario(
    'the server in @WebSocketServer',
    ({ gateway, note }) => {
      @gateway()
      class Gateway {
        @WebSocketServer() server!: { clients: Set<unknown>; options: object };
        @WebSocketServer() second!: unknown;
        afterInit(server: unknown): void {
          note(`afterInit ${server === this.server} ${this.server?.constructor.name}`);
        }
        @SubscribeMessage('server') say(): unknown {
          const { server, second } = this;
          return ['server', server.constructor.name, server === second, server.clients.size];
        }
        @SubscribeMessage('all') all(): void {
          for (const client of this.server.clients) (client as WebSocket).send('"to all"');
        }
      }
      return { providers: [Gateway] };
    },
    ask('server'),
    ask('all'),
  ),
];
