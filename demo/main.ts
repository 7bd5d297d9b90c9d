import 'reflect-metadata';

import { NestFactory } from '@nestjs/core';

import { AppModule } from './app.module.js';

const app = await NestFactory.create(AppModule, { logger: ['log', 'warn', 'error'] });
app.enableShutdownHooks();
await app.listen(Number(process.env['PORT'] ?? 3000));
const { port } = app.getHttpServer().address() as { port: number };
const node = process.env['DEMO_NODE'];
console.log(`The demo${node ? ` (${node})` : ''} is at http://localhost:${port}`);
