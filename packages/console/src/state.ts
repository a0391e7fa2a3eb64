/** The page's state: signals that panels read, and that follow-live.ts and the panels set. */
import { computed, signal } from "@preact/signals";
import type { ConsoleAbout } from "../../../lib/contract/console.ts";
import type { LivePanel } from "../../../lib/contract/live.ts";
import { type LiveState, NOTHING_SEEN } from "./model/live-state.ts";
import { type Connection, verdict } from "./model/verdict.ts";

/** What this console is; null: not known yet. */
export const about = signal<ConsoleAbout | null>(null);
export const live = signal<LiveState>(NOTHING_SEEN);
export const connection = signal<Connection>({ kind: "waiting" });
/** This page's clock, each second while the page is seen. */
export const nowMs = signal(Date.now());
/** When the supervisor was heard last, by this page's clock; undefined: not yet. */
export const heardMs = signal<number | undefined>(undefined);
/** The moment that the page shows, by its clock: while nothing is heard, ages do not go on. */
const shownMs = computed(() =>
  connection.value.kind === "following" ? nowMs.value : (heardMs.value ?? nowMs.value),
);
/** The panels that are open, by their ids. */
export const openPanels = signal<ReadonlySet<string>>(new Set());
/** The lines that ask Postgres, each wanted by an open panel. */
export const wantedLines = signal<ReadonlySet<LivePanel>>(new Set());
/** What was done last, for people; screen readers say it. */
export const said = signal("");

export const findings = computed(() => verdict(live.value, connection.value, shownMs.value));
/** What is wrong, without the numbers in its sentences. */
const kinds = computed(() =>
  findings.value.map(({ level, remedy }) => level + JSON.stringify(remedy)).join(),
);
/** The verdict for screen readers: it is said again when something else is wrong, and not with each second of an age. */
export const announced = computed(() => kinds.value && findings.peek()[0].sentence);
/** The moment that the page shows, by the supervisor's clock. */
export const supervisorMs = computed(() => shownMs.value + live.value.clockAheadMs);

/** Opens or shuts a panel. */
export function setOpen(panel: string, isOpen: boolean): void {
  if (openPanels.value.has(panel) !== isOpen) openPanels.value = changed(openPanels.value, panel, isOpen);
}

/** Opens a panel and goes there. */
export function show(panel: string): void {
  setOpen(panel, true);
  const place = document.getElementById(panel);
  place?.scrollIntoView({ block: "start" });
  place?.querySelector("summary")?.focus({ preventScroll: true });
}

/** Wants lines of a panel, or wants them no more. */
export function wantLines(name: LivePanel, isWanted: boolean): void {
  if (wantedLines.value.has(name) !== isWanted)
    wantedLines.value = changed(wantedLines.value, name, isWanted);
}

function changed<T>(set: ReadonlySet<T>, one: T, isIn: boolean): ReadonlySet<T> {
  const next = new Set(set);
  if (isIn) next.add(one);
  else next.delete(one);
  return next;
}
