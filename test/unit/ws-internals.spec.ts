import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { WebSocket, WebSocketServer } from 'ws';

import {
  endOnce,
  piecesOf,
  plainSenderOf,
  shareNoExtensions,
  transportOf,
} from '../../src/wire/ws-internals.js';
import { bindSocket, type SocketOwner } from '../../src/manager/socket-binding.js';

function ignore(): void {
  // These tests look at messages only.
}

function ownerThatGets(received: (frame: Buffer) => void): SocketOwner {
  return {
    pieces: undefined,
    received,
    socketClosed: ignore,
    socketFailed: ignore,
    ponged: ignore,
  };
}

// Internals of `ws` that the library relies on. If a test fails after an update of `ws`, find out what has changed, and
// what it would cost to do without that internal.
describe('the internals of ws', () => {
  let server: WebSocketServer;
  let client: WebSocket;
  let socket: WebSocket;
  const open = async (perMessageDeflate: boolean): Promise<void> => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate });
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    const connected = once(server, 'connection');
    client = new WebSocket(`ws://127.0.0.1:${port}`);
    client.on('error', () => undefined);
    await once(client, 'open');
    [socket] = (await connected) as [WebSocket];
  };
  beforeEach(() => open(false));
  afterEach(async () => {
    client.terminate();
    await new Promise((resolve) => server.close(resolve));
  });

  it('has a sender that takes a frame in one piece', async () => {
    const sender = plainSenderOf(socket);
    const received = once(client, 'message');
    sender!.sendFrame([Buffer.from([0x81, 2, 0x68, 0x69])]);
    expect(String((await received)[0])).toBe('hi');
  });

  it('has no such sender with compression, on a client, and where `send` was replaced', async () => {
    expect(plainSenderOf(client)).toBeUndefined();
    socket.send = socket.send.bind(socket);
    expect(plainSenderOf(socket)).toBeUndefined();
    client.terminate();
    await new Promise((resolve) => server.close(resolve));
    await open(true);
    expect(plainSenderOf(socket)).toBeUndefined();
  });

  it('has an object of extensions, which sockets without any share, and others keep', async () => {
    type Inside = { _extensions: object; _sender: Inside; _receiver: Inside };
    const extensionsOf = (of: unknown): object[] => {
      const { _extensions: own, _sender, _receiver } = of as Inside;
      return [own, _sender._extensions, _receiver._extensions];
    };
    const [own] = extensionsOf(socket);
    shareNoExtensions(socket);
    const [shared, ...others] = extensionsOf(socket);
    expect(shared).not.toBe(own);
    expect(others.every((one) => one === shared)).toBe(true);
    const received = once(client, 'message');
    socket.send('hi');
    expect(String((await received)[0])).toBe('hi');
    client.terminate();
    await new Promise((resolve) => server.close(resolve));
    await open(true);
    const agreed = extensionsOf(socket);
    shareNoExtensions(socket);
    expect(extensionsOf(socket).every((one, index) => one === agreed[index])).toBe(true);
    expect(Object.keys(agreed[0]!)).toEqual(['permessage-deflate']);
  });

  it('collects every message of a bound socket in the same array', async () => {
    const messages: string[] = [];
    bindSocket(
      socket,
      ownerThatGets((frame) => messages.push(frame.toString())),
    );
    const pieces = piecesOf(socket);
    expect(pieces).toEqual([]);
    client.send('one');
    client.send('in pie', { fin: false });
    client.send('ces');
    client.send('last');
    await eventually(() => expect(messages).toEqual(['one', 'in pieces', 'last']));
    expect(piecesOf(socket)).toBe(pieces);
    expect(pieces).toEqual([]);
  });

  it('leaves an array to the app that gets it as a message', async () => {
    const messages: unknown[] = [];
    bindSocket(
      socket,
      ownerThatGets((frame) => messages.push(frame)),
    );
    socket.binaryType = 'fragments';
    client.send(Buffer.from('of the app'));
    await eventually(() => expect(messages).toHaveLength(1));
    socket.binaryType = 'nodebuffer';
    client.send('next');
    client.send('last');
    await eventually(() => expect(messages).toHaveLength(3));
    expect(messages.map(String)).toEqual(['of the app', 'next', 'last']);
    expect(messages[0]).toEqual([Buffer.from('of the app')]);
  });

  it('has a transport that counts the bytes read and the bytes still to be written', async () => {
    const transport = transportOf(socket)!;
    expect(transport._handle!.writeQueueSize).toBe(0);
    const before = transport.bytesRead!;
    client.send('hello');
    await eventually(() => expect(transport.bytesRead).toBeGreaterThan(before));
    socket.terminate();
    await eventually(() => expect(transport._handle).toBeNull());
  });

  it('ends its transport once after both sides have sent a close frame', async () => {
    const transport = transportOf(socket)!;
    const before = transport.listenerCount('end');
    endOnce(socket);
    // After a close frame of one side only, the other side may still send data.
    expect(transport.listenerCount('end')).toBe(before);
    const closed = once(socket, 'close');
    const close = socket.close.bind(socket);
    socket.close = (...args) => {
      close(...args);
      endOnce(socket);
    };
    client.close(1000);
    await eventually(() => expect(transport.listenerCount('end')).toBe(before - 1));
    expect(await closed).toEqual([1000, expect.anything()]);
  });
});
