import { gateway, pause, startApp } from '../app.js';
import type { Probe } from '../probe.js';

export const closeCode: Probe = {
  event: 'the application closes while a client is connected',
  good: 'closed with 1001',
  async run(side) {
    @gateway(side)
    class Gateway {
      handleConnection(): void {
        // The probe does not depend on this hook.
      }
    }
    const { app, connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.opened();
    await pause(20);
    await app.close();
    await client.closed();
    return client.end;
  },
};

export const unawaitedDisconnect: Probe = {
  event: 'the application closes, and its `handleDisconnect` is asynchronous',
  good: 'is awaited',
  async run(side) {
    let hasSaved = false;
    @gateway(side)
    class Gateway {
      async handleDisconnect(): Promise<void> {
        await pause(100);
        hasSaved = true;
      }
    }
    const { app, connect } = await startApp(side, { providers: [Gateway] });
    const client = connect();
    await client.opened();
    await pause(20);
    await app.close();
    return hasSaved ? 'is awaited' : 'still runs when `app.close()` has resolved';
  },
};
