/** Does something on the supervisor at a person's word, and says how it went. */
import type { DrainBody } from "../../../lib/contract/drain.ts";
import type { PauseAnswer, ResumeAnswer } from "../../../lib/contract/pause.ts";
import { askSupervisor, Refused } from "./server.ts";
import { said } from "./state.ts";

/** Runs it, and says its sentence, if it has one, or why it could not be done. Returns whether it was done. */
export async function act(work: () => Promise<string>): Promise<boolean> {
  try {
    const told = await work();
    if (told !== "") said.value = told;
    return true;
  } catch (error) {
    said.value =
      error instanceof Refused ? error.message : `This should not have happened (${String(error)}).`;
    return false;
  }
}

/** Ends a stream's pause. */
export const resume = (stream: string) =>
  act(async () => {
    const { note } = await askSupervisor<ResumeAnswer>(
      "POST",
      `/streams/${encodeURIComponent(stream)}/resume`,
    );
    return `${stream}: ${note}`;
  });

/** Pauses a stream. */
export const pause = (stream: string, length: string, why: string) =>
  act(async () => {
    const body = { for: length, ...(why.trim() === "" ? {} : { why: why.trim() }) };
    const { note } = await askSupervisor<PauseAnswer>(
      "POST",
      `/streams/${encodeURIComponent(stream)}/pause`,
      { body },
    );
    return `${stream} is paused. ${note}`;
  });

/** A drain that could not store everything answers 503 with its report. */
function reportIn(error: unknown): DrainBody {
  const { body } = error as { body?: Partial<DrainBody> };
  if (Array.isArray(body?.streams)) return body as DrainBody;
  throw error;
}

/** Drains a stream, or all. */
export const drainNow = (stream: string | null) =>
  act(async () => {
    const path = stream === null ? "/drain" : `/drain/${encodeURIComponent(stream)}`;
    const { streams } = await askSupervisor<DrainBody>("POST", path).catch(reportIn);
    const told = streams.map(
      (one) => `${one.stream}: ${one.stored} stored, ${one.remaining ?? "unknown"} left (${one.outcome})`,
    );
    return told.join("; ") || "Nothing waits.";
  });
