/** Whether this tab is seen. A hidden one holds no connection: a browser has six to one server, for all of its tabs. */

/** Resolves when the tab is seen. */
export async function untilSeen(): Promise<void> {
  while (document.hidden) await nextEvent("visibilitychange");
}

/** Calls each time that the tab is hidden, until the returned function is called. */
export function whenHidden(call: () => void): () => void {
  const onChange = () => document.hidden && call();
  document.addEventListener("visibilitychange", onChange);
  return () => document.removeEventListener("visibilitychange", onChange);
}

/** Resolves at the page's next event of that name. */
export const nextEvent = (name: string): Promise<unknown> =>
  new Promise((resolve) => document.addEventListener(name, resolve, { once: true }));
