import type { Off } from './listeners.js';

/** Both a window and its document. In Node.js there is neither. */
interface Target {
  addEventListener(type: string, listener: (event: unknown) => void): void;
  removeEventListener(type: string, listener: (event: unknown) => void): void;
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
  const wake = (): void => page.wake();
  const suspend = (): void => page.suspend();
  const shown = (): void => {
    if (document?.visibilityState === 'visible') wake();
  };
  const window = globalThis as Partial<Target>;
  const followed: [Partial<Target> | undefined, string, () => void][] = [
    [window, 'online', wake],
    [window, 'pageshow', wake],
    [window, 'pagehide', suspend],
    [document, 'visibilitychange', shown],
    [document, 'resume', wake],
  ];
  for (const [target, type, listener] of followed) target?.addEventListener?.(type, listener);
  return () => {
    for (const [target, type, listener] of followed) target?.removeEventListener?.(type, listener);
  };
}
