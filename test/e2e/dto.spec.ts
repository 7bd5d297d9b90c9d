import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { Type } from 'class-transformer';
import {
  IsDate,
  IsInt,
  IsString,
  MaxLength,
  Validate,
  ValidateNested,
  ValidatorConstraint,
} from 'class-validator';
import { IsolatedGateway } from 'nestjs-websocket-isolation';
import { asyncApiDocument } from 'nestjs-websocket-isolation/asyncapi';
import { type DataOf, defineContract } from 'nestjs-websocket-isolation/contract';
import { dto } from 'nestjs-websocket-isolation/dto';
import type { TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

@ValidatorConstraint({ async: true })
class IsFree {
  async validate(name: string): Promise<boolean> {
    await Promise.resolve();
    return name !== 'taken';
  }

  defaultMessage(): string {
    return 'the name is taken';
  }
}

class Author {
  @IsString()
  @Validate(IsFree)
  name!: string;
}

class SayDto {
  @IsString()
  @MaxLength(5)
  text!: string;

  @IsDate()
  @Type(() => Date)
  at!: Date;

  @ValidateNested({ each: true })
  @Type(() => Author)
  authors!: Author[];

  get length(): number {
    return this.text.length;
  }
}

class CountDto {
  @IsInt()
  count!: number;
}

class Bare {
  any?: unknown;
}

const contract = defineContract({
  client: {
    say: { data: dto(SayDto) },
    count: {
      data: dto(CountDto, {
        validator: { whitelist: true, forbidNonWhitelisted: true },
        transform: { enableImplicitConversion: true },
        jsonSchema: { type: 'object', properties: { count: { type: 'integer' } } },
      }),
    },
    bare: { data: dto(Bare) },
  },
});

const seen: unknown[] = [];

@IsolatedGateway({ path: '/chat', contract })
class ChatGateway {
  @SubscribeMessage('say')
  say(@MessageBody() data: DataOf<typeof contract, 'say'>): void {
    seen.push(data, data.length, data.at, data.authors[0] instanceof Author);
  }

  @SubscribeMessage('count')
  count(@MessageBody() { count }: DataOf<typeof contract, 'count'>): void {
    seen.push(count);
  }

  @SubscribeMessage('bare')
  bare(): void {
    seen.push('bare');
  }
}

let app: TestApp;
let client: TestClient;
beforeAll(async () => {
  app = await startApp({ providers: [ChatGateway] });
  client = await app.connect('/chat?user=ada');
});
beforeEach(() => void seen.splice(0));
afterAll(() => app?.close());

const at = '2030-01-02T03:04:05.000Z';

describe('a class of class-validator in a contract', () => {
  it('gives handlers an instance, with nested instances', async () => {
    client.send('say', { text: 'tea', at, authors: [{ name: 'ada' }] }, 1);
    await client.next('ack');
    expect(seen[0]).toBeInstanceOf(SayDto);
    expect(seen.slice(1)).toEqual([3, new Date(at), true]);
  });

  it.each<[unknown, unknown[]]>([
    [{ text: 'long text', at, authors: [] }, [['text', /shorter than or equal to 5/]]],
    [{ text: 'tea', at: 'never', authors: [] }, [['at', /Date/]]],
    [
      { text: 'tea', at, authors: [{ name: 'ada' }, { name: 'taken' }] },
      [['authors.1.name', /is taken/]],
    ],
    [{ text: 'tea', at, authors: [{ name: 'ada' }, 5] }, [['authors.1', /nested property/]]],
    [undefined, [['', /must be an object/]]],
    [null, [['', /must be an object/]]],
    ['tea', [['', /must be an object/]]],
    [[{ text: 'tea', at, authors: [] }], [['', /must be an object/]]],
  ])('refuses %j and says what is wrong where', async (data, issues) => {
    client.send('say', data, 2);
    const { code, issues: told } = (await client.next('exception')).data;
    expect(code).toBe('INVALID_PAYLOAD');
    const shown = (told as { path: string[]; message: string }[]).map(({ path, message }) => [
      path.join('.'),
      message,
    ]);
    expect(shown).toEqual(
      (issues as [string, RegExp][]).map(([path, text]) => [path, expect.stringMatching(text)]),
    );
    expect(seen).toEqual([]);
  });

  it.each([
    '{"__proto__":{"text":"tea"}}',
    '{"constructor":{"name":"Bare"}}',
    '{"then":1,"count":"x"}',
  ])('takes no class and no fields from %s', async (data) => {
    client.socket.send(`{"event":"say","id":3,"data":${data}}`);
    expect((await client.next('exception')).data.code).toBe('INVALID_PAYLOAD');
  });

  it('takes the options of both packages', async () => {
    client.send('count', { count: '5' }, 4);
    await client.next('ack');
    expect(seen).toEqual([5]);
    client.send('count', { count: 5, more: 1 }, 5);
    expect((await client.next('exception')).data.message).toMatch(/more.*should not exist/);
  });

  it('admits nothing without rules', async () => {
    client.send('bare', { any: 1 }, 6);
    expect((await client.next('exception')).data.code).toBe('INVALID_PAYLOAD');
  });

  it('is described by the JSON Schema that it is given', () => {
    const { channels } = asyncApiDocument(app.app);
    const { count, say } = channels['chat']!.messages as Record<
      string,
      { payload: { properties?: unknown } }
    >;
    expect(count!.payload.properties).toMatchObject({
      data: { properties: { count: { type: 'integer' } } },
    });
    expect(say!.payload.properties).toMatchObject({
      data: { description: expect.stringContaining('class-validator') },
    });
  });
});
