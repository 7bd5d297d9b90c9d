import type { WebSocket } from 'ws';

const TIMEOUT_MS = 10_000;

interface Open {
  readonly resolve: (data: unknown) => void;
  readonly timer: NodeJS.Timeout;
}

/** Questions to clients as an app writes them by hand: a map, and a timer for each. */
export class Questions {
  readonly #open = new Map<string, Open>();
  #asked = 0;

  ask(client: WebSocket, event: string, data: unknown): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#asked += 1;
      const ask = String(this.#asked);
      const timer = setTimeout(() => {
        this.#open.delete(ask);
        reject(new Error('The client has not answered'));
      }, TIMEOUT_MS);
      this.#open.set(ask, { resolve, timer });
      client.send(JSON.stringify({ event, data, ask }));
    });
  }

  answered(ask: string, data: unknown): void {
    const question = this.#open.get(ask);
    if (!question) return;
    this.#open.delete(ask);
    clearTimeout(question.timer);
    question.resolve(data);
  }
}
