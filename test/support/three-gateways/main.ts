import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';

import { AppModule } from './app.module.js';

const { resolve } = createRequire(join(process.cwd(), 'package.json'));

async function start(): Promise<void> {
  const app = await NestFactory.create<NestExpressApplication>(AppModule, { logger: ['error'] });
  app.useStaticAssets(join(process.cwd(), 'public'));
  // The page has no bundler: it gets the client as it is in the package.
  app.useStaticAssets(dirname(resolve('nestjs-websocket-isolation/client')), { prefix: '/client' });
  app.enableShutdownHooks();
  await app.listen(0, '127.0.0.1');
  console.log(await app.getUrl());
}

void start();
