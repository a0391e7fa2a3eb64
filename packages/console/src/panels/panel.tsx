/** The frame of a panel: a heading that opens and shuts it. What is shut is not rendered, and so asks nobody. */
import type { ComponentChildren } from "preact";
import { openPanels, setOpen } from "../state.ts";

interface Props {
  /** Its id in the page, and in `openPanels`. */
  id: string;
  title: string;
  /** A few words beside the title, such as a count. */
  note?: string;
  children: ComponentChildren;
}

export function Panel({ id, title, note, children }: Props) {
  const isOpen = openPanels.value.has(id);
  return (
    <details id={id} class="panel" open={isOpen} onToggle={(event) => setOpen(id, event.currentTarget.open)}>
      <summary>
        <h2>{title}</h2>
        {note !== undefined && <span class="note">{note}</span>}
      </summary>
      {isOpen && <div class="inside">{children}</div>}
    </details>
  );
}
