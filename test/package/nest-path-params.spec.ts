import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, it } from '@jest/globals';

import { PackedApp } from '../support/packed-app.js';
import { project } from '../support/packed-package.js';

/** A later `@nestjs/websockets`, as far as its pull request #15488 describes it. */
const SYMBOL = `
export const WS_PATH_PARAMS = Symbol('WS_PATH_PARAMS');
`;
const DECORATOR = `
import { assignMetadata } from '@nestjs/common/internal';
import { PARAM_ARGS_METADATA } from './constants.js';
export { WS_PATH_PARAMS } from './constants.js';
export function WsParam(name) {
  return (target, key, index) => {
    const known = Reflect.getMetadata(PARAM_ARGS_METADATA, target.constructor, key) ?? {};
    Reflect.defineMetadata(
      PARAM_ARGS_METADATA,
      assignMetadata(known, 21, index, name),
      target.constructor,
      key,
    );
  };
}
`;

const MAIN = `
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import * as websockets from '@nestjs/websockets';
import { IsolatedGateway, WebSocketIsolationModule } from 'nestjs-websocket-isolation';
import { TestClient } from 'nestjs-websocket-isolation/testing';

class Room {
  where(room, both, data) { return { event: 'here', data: { room, both, data } }; }
}
websockets.SubscribeMessage('where')(Room.prototype, 'where', Object.getOwnPropertyDescriptor(Room.prototype, 'where'));
websockets.WsParam('room')(Room.prototype, 'where', 0);
websockets.WsParam()(Room.prototype, 'where', 1);
websockets.MessageBody()(Room.prototype, 'where', 2);
IsolatedGateway({ path: '/:kind/:room' })(Room);
class Root {}
Module({ imports: [WebSocketIsolationModule.forRoot()], providers: [Room] })(Root);

const app = await NestFactory.create(Root, { logger: false });
await app.listen(0, '127.0.0.1');
const client = await TestClient.open('ws://127.0.0.1:' + app.getHttpServer().address().port + '/chat/b%20c');
console.log(JSON.stringify((await client.ask('where', 'said')).data));
await client.close();
await app.close();
`;

describe('a later Nest with @WsParam()', () => {
  it('finds the parameters of the path where it looks for them', async () => {
    const app = await PackedApp.create([['main.mjs', MAIN]]);
    try {
      const copy = join(app.folder, 'node_modules/@nestjs/websockets');
      rmSync(copy);
      const stock = join(project, 'node_modules/@nestjs/websockets');
      cpSync(stock, copy, { recursive: true, dereference: true });
      appendFileSync(join(copy, 'constants.js'), SYMBOL);
      appendFileSync(join(copy, 'index.js'), DECORATOR);
      const factory = join(copy, 'factories/ws-params-factory.js');
      const text = readFileSync(factory, 'utf8');
      const read =
        'case 21: return data ? args[0]?.[WS_PATH_PARAMS]?.[data] : args[0]?.[WS_PATH_PARAMS];';
      const patched = text.replace('default:', `${read}\n            default:`);
      expect(patched).not.toBe(text);
      writeFileSync(factory, `import { WS_PATH_PARAMS } from '../constants.js';\n${patched}`);
      const output = execFileSync(process.execPath, ['main.mjs'], {
        cwd: app.folder,
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '' },
      });
      expect(JSON.parse(output)).toEqual({
        room: 'b c',
        both: { kind: 'chat', room: 'b c' },
        data: 'said',
      });
    } finally {
      app.remove();
    }
  });
});
