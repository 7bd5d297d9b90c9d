import type { Off } from './listeners.js';

/** Both a window and its document. In Node.js there is neither. */
interface Target {
  addEventListener(type: string, listener: () => void, options: { signal: AbortSignal }): void;
}

/** What a client does when its page does. */
export interface PageHooks {
  /** The page is shown again, thawed or restored, or the network is back. */
  wake(): void;
  /** The page is being put away. A page with an open connection is not kept for the way back. */
  suspend(): void;
}

/** Follows the page, or the worker, that the client runs in. Elsewhere it does nothing. */
export function followPage(page: PageHooks): Off {
  const { document } = globalThis as { document?: Target & { visibilityState: string } };
  const controller = new AbortController();
  const follow = (target: Partial<Target> | undefined, type: string, listener: () => void): void =>
    target?.addEventListener?.(type, listener, controller);
  const window = globalThis as Partial<Target>;
  const wake = (): void => page.wake();
  const shown = (): void => {
    if (document?.visibilityState === 'visible') wake();
  };
  follow(window, 'online', wake);
  follow(window, 'pageshow', wake);
  follow(window, 'pagehide', () => page.suspend());
  follow(document, 'visibilitychange', shown);
  follow(document, 'resume', wake);
  return () => controller.abort();
}
