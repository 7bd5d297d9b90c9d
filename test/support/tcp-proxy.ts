import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A line to a server on this machine that a test can cut, or make swallow what one side says. */
export class TcpProxy implements AsyncDisposable {
  /** Nothing of what the server says comes through; what the client says does. Then the lines have to be cut. */
  isMute = false;
  /** Nothing of what the client says comes through. Then the lines have to be cut. */
  isDeaf = false;
  /** New lines are cut at once. */
  isClosed = false;
  /** Lines opened so far. */
  opened = 0;
  readonly #pairs = new Set<readonly [client: Socket, server: Socket]>();

  private constructor(
    private readonly server: Server,
    /** Port to which new lines lead. */
    public target: number,
  ) {
    server.on('connection', (client: Socket) => this.#join(client));
  }

  static async start(target: number): Promise<TcpProxy> {
    const server = createServer().listen(0, '127.0.0.1');
    const proxy = new TcpProxy(server, target);
    await once(server, 'listening');
    return proxy;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** The lines that are open stay open, and carry nothing any more. New ones may be opened. */
  freeze(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Cuts all lines; new ones may be opened. */
  cut(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.close();
    this.cut();
    await once(this.server, 'close');
  }

  #join(client: Socket): void {
    if (this.isClosed) {
      client.destroy();
      return;
    }
    this.opened += 1;
    const server = connect(this.target, '127.0.0.1');
    const pair = [client, server] as const;
    this.#pairs.add(pair);
    client.on('data', (chunk) => {
      if (!this.isDeaf) server.write(chunk);
    });
    server.on('data', (chunk) => {
      if (!this.isMute) client.write(chunk);
    });
    for (const socket of pair) {
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#pairs.delete(pair);
        client.destroy();
        server.destroy();
      });
    }
  }
}
