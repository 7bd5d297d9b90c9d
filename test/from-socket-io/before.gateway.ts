import {
  ConnectedSocket,
  MessageBody,
  type OnGatewayConnection,
  type OnGatewayInit,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
} from '@nestjs/websockets';
import type { Namespace, Socket } from 'socket.io';

import { userOf } from './users.js';

@WebSocketGateway({ namespace: '/chat' })
export class ChatGateway implements OnGatewayInit, OnGatewayConnection {
  @WebSocketServer()
  private readonly chat!: Namespace;

  afterInit(chat: Namespace): void {
    chat.use((socket, next) => {
      const userId = userOf(String(socket.handshake.auth['token']));
      if (!userId) return next(new Error('unauthorized'));
      (socket.data as { userId: string }).userId = userId;
      next();
    });
  }

  async handleConnection(socket: Socket): Promise<void> {
    const { userId } = socket.data as { userId: string };
    await socket.join(`user:${userId}`);
    socket.emit('welcome', { you: userId });
  }

  @SubscribeMessage('enter')
  async enter(@ConnectedSocket() socket: Socket, @MessageBody('room') room: string) {
    await socket.join(room);
    const members = await this.chat.in(room).fetchSockets();
    return { members: members.map(({ data }) => (data as { userId: string }).userId) };
  }

  @SubscribeMessage('say')
  say(@ConnectedSocket() socket: Socket, @MessageBody() body: { room: string; text: string }) {
    if (!socket.rooms.has(body.room)) return { error: 'not in the room' };
    const { userId } = socket.data as { userId: string };
    socket.to(body.room).emit('said', { from: userId, text: body.text });
    return { ok: true };
  }

  @SubscribeMessage('typing')
  typing(@ConnectedSocket() socket: Socket, @MessageBody('room') room: string): void {
    const { userId } = socket.data as { userId: string };
    if (socket.rooms.has(room)) socket.to(room).volatile.emit('typing', { from: userId });
  }

  @SubscribeMessage('whisper')
  whisper(@ConnectedSocket() socket: Socket, @MessageBody() body: { to: string; text: string }) {
    const { userId } = socket.data as { userId: string };
    this.chat.to(`user:${body.to}`).emit('whispered', { from: userId, text: body.text });
    return { ok: true };
  }

  @SubscribeMessage('sure?')
  async sure(@ConnectedSocket() socket: Socket) {
    return { answer: (await socket.timeout(5_000).emitWithAck('confirm', {})) as unknown };
  }
}
