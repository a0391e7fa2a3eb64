/** A button that runs something, and can't be pressed again until that is done. */
import { useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { about } from "../state.ts";

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

export const READ_ONLY = "This console only reads: spillway console --prod --write may do this, too.";

export function Button({ run, writes = false, label, disabled = false, primary = false, children }: Props) {
  const isBusy = useSignal(false);
  const isForbidden = writes && about.value?.canWrite === false;
  const press = async () => {
    isBusy.value = true;
    try {
      await run();
    } finally {
      isBusy.value = false;
    }
  };
  return (
    <button
      type="button"
      class={primary ? "primary" : undefined}
      aria-label={label}
      aria-busy={isBusy.value}
      title={isForbidden ? READ_ONLY : undefined}
      disabled={disabled || isForbidden || isBusy.value}
      onClick={press}
    >
      {children}
    </button>
  );
}
