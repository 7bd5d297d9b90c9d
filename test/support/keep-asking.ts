import { expect } from '@jest/globals';
import type { TestClient } from 'nestjs-websocket-isolation/testing';

/**
 * Somebody well-behaved beside whatever else goes on: asks for an echo again and again.
 *
 * @returns stops, and resolves to the number of answers, all of them right
 */
export function keepAsking(client: TestClient): () => Promise<number> {
  const stop = new AbortController();
  const asking = (async () => {
    let answers = 0;
    for (; !stop.signal.aborted; answers += 1) {
      client.send('echo', answers);
      // Whatever else goes on may well take all there is of a busy machine for a while.
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
