import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A TCP proxy between a client and the server whose connection can go dead, like a radio link: after that it forwards
 * nothing, and neither end is closed.
 */
export class Line {
  #ends: readonly [near: Socket, far: Socket] | undefined;

  private constructor(private readonly server: Server) {}

  static open(serverPort: number): Promise<Line> {
    return new Promise((resolve, reject) => {
      const server = createServer((near) => {
        const far = connect(serverPort, '127.0.0.1');
        for (const end of [near, far]) end.on('error', () => undefined);
        near.pipe(far);
        far.pipe(near);
        line.#ends = [near, far];
      });
      const line = new Line(server);
      server.once('error', reject);
      server.listen(0, '127.0.0.1', () => resolve(line));
    });
  }

  /** The port that the client connects to. */
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Stops forwarding in both directions. Both sockets stay open. */
  cut(): void {
    const [near, far] = this.#ends!;
    near.unpipe(far).pause();
    far.unpipe(near).pause();
  }

  close(): void {
    for (const end of this.#ends ?? []) end.destroy();
    this.server.close();
  }
}
