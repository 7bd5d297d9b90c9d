import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/** A TCP proxy to a local server. A test can cut its connections, or make it drop the data of one direction. */
export class TcpProxy implements AsyncDisposable {
  /** Drops the data from the server and forwards the data from the client. Cut the connections afterwards. */
  isMute = false;
  /** Drops the data from the client. Cut the connections afterwards. */
  isDeaf = false;
  /** Cuts new connections at once. */
  isClosed = false;
  /** The number of connections so far. */
  opened = 0;
  readonly #pairs = new Set<readonly [client: Socket, server: Socket]>();

  private constructor(
    private readonly server: Server,
    /** The port of the server for new connections. */
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

  /** Stops forwarding on the open connections without closing them. New connections work. */
  freeze(): void {
    for (const pair of this.#pairs) for (const socket of pair) socket.pause();
  }

  /** Cuts all connections. New connections work. */
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
