/** What a browser tells a page or a worker about itself. Elsewhere there is nothing to hear. */

export interface PageListener {
  /** The page may be gone in a moment, without another word. `isLeaving`: nothing of it runs any more if it is. */
  onHidden(isLeaving: boolean): void;
  onShown(): void;
  onOnline(): void;
}

interface Target {
  addEventListener?(type: string, listener: () => void): void;
  removeEventListener?(type: string, listener: () => void): void;
}

export const isPageHidden = (): boolean =>
  typeof document !== "undefined" && document.visibilityState === "hidden";

/** Listens until the returned function is called. */
export function listenToPage({ onHidden, onShown, onOnline }: PageListener): () => void {
  const page: Target = globalThis;
  const onVisibility = () => (isPageHidden() ? onHidden(false) : onShown());
  const listeners: [Target | undefined, string, () => void][] = [
    [page, "online", onOnline],
    [page, "pagehide", () => onHidden(true)],
    [page, "pageshow", onShown],
    [typeof document === "undefined" ? undefined : document, "visibilitychange", onVisibility],
  ];
  for (const [target, type, listener] of listeners) target?.addEventListener?.(type, listener);
  return () => {
    for (const [target, type, listener] of listeners) target?.removeEventListener?.(type, listener);
  };
}
