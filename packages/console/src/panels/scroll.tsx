/** What may be wider than a phone: it scrolls by itself, by keyboard, too. */
import type { ComponentChildren } from "preact";

/** Around a table. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls what has the focus
    <section class="scroll" tabIndex={0} aria-label={label}>
      {children}
    </section>
  );
}

/** Text as it is typed or answered. */
export function Code({ id, children }: { id?: string; children: string }) {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard scrolls what has the focus
    <pre id={id} tabIndex={0}>
      {children}
    </pre>
  );
}
