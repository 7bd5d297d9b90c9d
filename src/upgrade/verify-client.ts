import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

import { HttpException } from '@nestjs/common';
import type { ServerOptions } from 'ws';

import { askApp, type VerifyRequest, yesOrNo } from '../handshake/app-answer.js';

type VerifyClient = NonNullable<ServerOptions['verifyClient']>;

const readDecision = yesOrNo('The function verifyClient');

/**
 * Turns the `verifyClient` of the app's `ws` server, in either of its two forms, into a step of the handshake, which
 * runs before a slot is taken and within the deadline. `ws` itself would accept any truthy result, even a promise.
 */
export function verifyingWith(verifyClient: VerifyClient): VerifyRequest {
  return (request) => {
    const info = infoOf(request);
    if (verifyClient.length !== 2) {
      return askApp(() => (verifyClient as (info: object) => unknown)(info), readDecision);
    }
    return askApp(() => called(verifyClient, info), readDecision);
  };
}

function called(verifyClient: VerifyClient, info: ReturnType<typeof infoOf>): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const done = (answer: unknown, status?: number, message?: string): void => {
      if (answer === false && status !== undefined)
        reject(new HttpException(message ?? '', status));
      else resolve(answer);
    };
    const returned: unknown = verifyClient(info, done);
    // An `async` function with a callback passes its result to the callback, and its failure rejects the promise.
    Promise.resolve(returned).catch(reject);
  });
}

function infoOf(request: IncomingMessage) {
  const version = Number(request.headers['sec-websocket-version']);
  const origin = request.headers[version === 8 ? 'sec-websocket-origin' : 'origin'] as string;
  const { authorized, encrypted } = request.socket as Partial<TLSSocket>;
  return { origin, secure: authorized === true || encrypted !== undefined, req: request };
}
