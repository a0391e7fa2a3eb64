/**
 * A button that runs something, and can't be pressed again until that is done. Meanwhile it keeps the keyboard's focus; if it is gone
 * afterwards, as Resume is, its panel has it.
 */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";
import { about, said } from "../state.ts";

interface Props {
  run(): Promise<unknown> | undefined;
  /** It changes something, so a console that may only read has it off. */
  writes?: boolean;
  /** For screen readers, if the text alone does not say it. */
  label?: string;
  disabled?: boolean;
  primary?: boolean;
  children: ComponentChildren;
}

export const READ_ONLY = "This console only reads: started with --write, it may do this, too.";

export function Button({ run, writes = false, label, disabled = false, primary = false, children }: Props) {
  const isBusy = useSignal(false);
  const isForbidden = writes && about.value?.canWrite === false;
  const place = useRef<HTMLButtonElement>(null);
  useLayoutEffect(() => () => handFocusOn(place.current), []);
  const press = async () => {
    if (isBusy.value) return;
    said.value = ""; // so that the same sentence is heard again
    isBusy.value = true;
    try {
      await run();
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <button
      ref={place}
      type="button"
      class={primary ? "primary" : undefined}
      aria-label={label}
      aria-busy={isBusy.value}
      aria-disabled={isBusy.value}
      title={isForbidden ? READ_ONLY : undefined}
      disabled={disabled || isForbidden}
      onClick={press}
    >
      {children}
    </button>
  );
}

/** A focus that goes with its element begins anew at the page's top. */
function handFocusOn(button: HTMLButtonElement | null): void {
  if (button === null || document.activeElement !== button) return;
  const next = button.closest(".panel, .verdict")?.querySelector<HTMLElement>("summary, #verdict");
  next?.focus({ preventScroll: true });
}
