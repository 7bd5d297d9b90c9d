import { expect } from '@jest/globals';
import type { TestClient } from 'nestjs-websocket-isolation/testing';

/**
 * A well-behaved client during an attack: it requests an echo again and again, and checks each reply.
 *
 * @returns a function that stops, and resolves with the number of replies
 */
export function keepAsking(client: TestClient): () => Promise<number> {
  const stop = new AbortController();
  const asking = (async () => {
    let answers = 0;
    for (; !stop.signal.aborted; answers += 1) {
      client.send('echo', answers);
      // On a busy machine the attack may take all processor time for a while, so a timeout shows the close code.
      const answer = await client.next().catch(() => ({ closeCode: client.closeCode }));
      expect(answer).toEqual({ event: 'echo', data: answers });
    }
    return answers;
  })();
  return () => {
    stop.abort();
    return asking;
  };
}
