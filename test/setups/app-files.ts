import { projectFile, quickStartFiles } from '../support/readme.js';

type Files = [path: string, text: string][];

/** The start of an app that the tests visit: it prints its port. */
const BOOT = `
  const app = await NestFactory.create(AppModule, { logger: ['error', 'warn'] });
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  console.log('port ' + app.getHttpServer().address().port);
`;

// As `nest new` generates them: ESM with a top-level await, CommonJS with a function.
const MAIN = {
  esm: `
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
${BOOT}`,
  cjs: `
import { NestFactory } from '@nestjs/core';
import { AppModule } from './app.module.js';
async function bootstrap() {${BOOT}}
void bootstrap();
`,
};

/** The same app without a compiler, which calls decorators as functions. */
const JAVASCRIPT = `
class ChatGateway {
  constructor(context) {
    this.context = context;
  }
  handleConnection(client) {
    client.send(JSON.stringify({ event: 'welcome', data: { you: this.context.userId } }));
  }
}
Inject(UserExecutionContext)(ChatGateway, undefined, 0);
IsolatedGateway({ path: '/chat' })(ChatGateway);
class AppController {
  hello() {
    return 'Hello World!';
  }
}
Get()(AppController.prototype, 'hello', Object.getOwnPropertyDescriptor(AppController.prototype, 'hello'));
Controller()(AppController);
const authenticator = ({ url }) => ({ userId: new URL(url, 'http://localhost').searchParams.get('token') });
class AppModule {}
Module({
  imports: [WebSocketIsolationModule.forRoot({ authenticator })],
  controllers: [AppController],
  providers: [ChatGateway],
})(AppModule);
`;

const NAMES = {
  '@nestjs/common': 'Controller, Get, Inject, Module',
  '@nestjs/core': 'NestFactory',
  'nestjs-websocket-isolation': 'IsolatedGateway, UserExecutionContext, WebSocketIsolationModule',
};

const bindings = (write: (names: string, from: string) => string): string =>
  Object.entries(NAMES)
    .map(([from, names]) => write(names, from))
    .join('\n');

/** The three ways in which JavaScript loads a package. */
export const javaScript = {
  import: `import 'reflect-metadata';
${bindings((names, from) => `import { ${names} } from '${from}';`)}
${JAVASCRIPT}${BOOT}`,
  require: `require('reflect-metadata');
${bindings((names, from) => `const { ${names} } = require('${from}');`)}
${JAVASCRIPT}(async () => {${BOOT}})();`,
  'import()': `(async () => {
await import('reflect-metadata');
${bindings((names, from) => `const { ${names} } = await import('${from}');`)}
${JAVASCRIPT}${BOOT}})();`,
};

/** An entry point beside the main one: not every mode of TypeScript finds it. */
const ENTRY_POINTS = `export { startTestApplication } from 'nestjs-websocket-isolation/testing';
`;

/** The quick start of the README, in the app that `nest new` generates. */
export function typeScriptFiles(type: 'esm' | 'cjs'): Files {
  const schematics = 'node_modules/@nestjs/schematics/dist/lib/application/files/ts-esm/src';
  const generated = ['app.controller.ts', 'app.service.ts'];
  return [
    ...generated.map((name): Files[number] => [
      `src/${name}`,
      projectFile(`${schematics}/${name}`),
    ]),
    ...quickStartFiles(),
    ['src/main.ts', MAIN[type]],
    ['src/entry-points.ts', ENTRY_POINTS],
  ];
}

/** A test of the app's own, for the runner that `nest new` has set up. */
export const OWN_TEST = `
import { startTestApplication, type TestApplication } from 'nestjs-websocket-isolation/testing';
import { AppModule } from '../src/app.module.js';

describe('ChatGateway (e2e)', () => {
  let app: TestApplication;

  beforeEach(async () => {
    app = await startTestApplication(AppModule);
  });
  afterEach(() => app.close());

  it('greets a client', async () => {
    const client = await app.connect('/chat?token=ada');
    expect(await client.next()).toEqual({ event: 'welcome', data: { you: 'ada' } });
  });
});
`;

/** Writes imports of the app's own files as `nest new` does for CommonJS, without an extension. */
export function withoutExtensions(text: string): string {
  return text.replaceAll(/(from '\.{1,2}\/[^']*)\.js'/g, "$1'");
}
