/** The page's beginning: shows the verdict as soon as the supervisor has said how it is. */
import { effect } from "@preact/signals";
import { render } from "preact";
import { App } from "./app.tsx";
import { followLive, lostBy } from "./follow-live.ts";
import { PANELS } from "./panels/all.ts";
import { readAbout } from "./server.ts";
import { about, connection, findings, setOpen } from "./state.ts";

const root = document.getElementById("console");
if (root) render(<App />, root);
markFirstVerdict();
begin();

async function begin(): Promise<void> {
  try {
    const known = await readAbout();
    for (const { id, isOpenAtFirst } of PANELS)
      setOpen(id, isOpenAtFirst === "always" || (isOpenAtFirst === "locally" && !known.isProd));
    about.value = known;
  } catch (error) {
    connection.value = lostBy(error);
    return;
  }
  await followLive();
}

/** Marks, for a test, when the first sentence that says anything is there. */
function markFirstVerdict(): void {
  const stop = effect(() => {
    if (findings.value[0].level === "unknown") return;
    requestAnimationFrame(() => performance.mark("first-verdict"));
    queueMicrotask(() => stop());
  });
}
