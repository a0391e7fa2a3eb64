/** What a browser tells a page or a worker about itself. Elsewhere there is nothing to hear. */

export const isPageHidden = (): boolean => !!globalThis.document?.hidden;

/**
 * Listens until the signal aborts. `onHidden`: the page may be gone in a moment, without another word; its argument is true if nothing of it runs
 * any more then. `onOnline`: the network is back.
 */
export function listenToPage(
  signal: AbortSignal,
  onHidden: (isLeaving: boolean) => void,
  onShown: () => void,
  onOnline: () => void,
): void {
  const listen = (type: string, listener: () => void) =>
    globalThis.addEventListener?.(type, listener, { signal, capture: true });
  listen("online", onOnline);
  listen("pagehide", () => onHidden(true));
  listen("pageshow", onShown);
  listen("visibilitychange", () => (isPageHidden() ? onHidden(false) : onShown())); // on its way to the document
}
