import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

/**
 * A TCP line between one client and the server that can go dead, as a radio link does: from then on
 * nothing gets through, and neither end is told.
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

  /** Where the client dials in. */
  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** Nothing gets through any more. */
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
