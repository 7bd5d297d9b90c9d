import { WebSocket } from 'ws';

/** A received frame. */
export interface PositionedFrame {
  readonly event: string;
  readonly data: unknown;
  readonly position: string;
}

/** A client that keeps its position, and reconnects with it whenever its connection closes. */
export class ResumingClient {
  readonly frames: PositionedFrame[] = [];
  connects = 0;
  #position: string | undefined;
  #socket: WebSocket | undefined;
  #isStopped = false;

  /** @param urlOf returns the URL for the next connect */
  constructor(private readonly urlOf: () => string) {}

  /** How often the server has reported a gap. */
  get gaps(): number {
    return this.frames.filter(({ event, data }) => event === 'resume' && statusOf(data) === 'gap')
      .length;
  }

  start(): void {
    if (this.#isStopped) return;
    const resume = this.#position === undefined ? '' : `&resume=${this.#position}`;
    const socket = new WebSocket(this.urlOf() + resume);
    this.#socket = socket;
    socket.on('open', () => (this.connects += 1));
    socket.on('message', (text: Buffer) => this.#receive(text));
    socket.on('error', () => undefined);
    socket.on('close', () => setTimeout(() => this.start(), 10));
  }

  /** Cuts the connection. Frames in flight are lost. */
  cut(): void {
    this.#socket?.terminate();
  }

  stop(): void {
    this.#isStopped = true;
    this.#socket?.terminate();
  }

  /** Reconnects after {@link stop}. */
  comeBack(): void {
    this.#isStopped = false;
    this.start();
  }

  #receive(text: Buffer): void {
    const frame = JSON.parse(text.toString()) as PositionedFrame;
    this.frames.push(frame);
    this.#position = frame.position;
  }
}

export function statusOf(data: unknown): string {
  return (data as { status: string }).status;
}
