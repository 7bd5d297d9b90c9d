import { Injectable, type Type } from '@nestjs/common';
import { ConnectedSocket, MessageBody, SubscribeMessage } from '@nestjs/websockets';

const GATEWAYS = 20;

/** A service that all gateways of the app inject. */
@Injectable()
export class Rooms {
  readonly names = new Set<string>();
}

/**
 * The gateways of an app of common size, each with a path of its own and three handlers.
 *
 * @param decorate applies the decorator of a gateway
 */
export function twentyGateways(decorate: (path: string) => ClassDecorator): Type[] {
  return Array.from({ length: GATEWAYS }, (_, index) => {
    @Injectable()
    class RoomGateway {
      constructor(readonly rooms: Rooms) {}

      @SubscribeMessage('join')
      join(@MessageBody() name: string): unknown {
        this.rooms.names.add(name);
        return { event: 'joined', data: name };
      }

      @SubscribeMessage('leave')
      leave(@MessageBody() name: string): void {
        this.rooms.names.delete(name);
      }

      @SubscribeMessage('list')
      list(@ConnectedSocket() _client: unknown): unknown {
        return { event: 'rooms', data: [...this.rooms.names] };
      }
    }
    decorate(`/rooms/${index}`)(RoomGateway);
    return RoomGateway;
  });
}
