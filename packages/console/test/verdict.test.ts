/** The verdict says what is wrong in a sentence, the worst first, each with the button that mends it. */
import { expect, test } from "vitest";
import type { LiveLine } from "../../../lib/contract/live.ts";
import { NOTHING_SEEN, withLiveLines } from "../src/model/live-state.ts";
import { type Connection, verdict } from "../src/model/verdict.ts";
import { after, batch, before, counts, hello, NOW, nowMs, pause, stopped } from "./lines.ts";

const FOLLOWING: Connection = { kind: "following" };
const say = (...lines: LiveLine[]) => verdict(after(...lines), FOLLOWING, nowMs);
const inAnHour = new Date(nowMs + 3_600_000).toISOString();
const waiting = (pending: number, oldestSeconds = 1) =>
  counts([{ stream: "events", pending, oldestReceivedAt: before(oldestSeconds) }]);

test("all is well, with what was stored and how long anything waits", () => {
  const [finding, ...others] = say(batch(3412), waiting(2, 4));
  expect(finding.level).toBe("good");
  expect(finding.sentence).toMatch(
    /^All is well: 3,412 events stored since \d\d:\d\d, nothing waits longer than 4 s\.$/,
  );
  expect([finding.remedy, others]).toEqual([null, []]);
  expect(say(batch(1), counts([]))[0].sentence).toMatch(/1 event stored since \d\d:\d\d, nothing waits\.$/);
});

test("a paused stream has its button, its events and who paused it until when", () => {
  const [{ sentence, remedy }] = say(pause(true, inAnHour, "ann@example.org"), waiting(2));
  expect(sentence).toMatch(
    /^events is paused since \d\d:\d\d until \d\d:\d\d by ann@example\.org: 2 events wait\.$/,
  );
  expect(remedy).toEqual({ kind: "resume", stream: "events" });
});

test("a pause that is over, or was ended, is none", () => {
  expect(say(pause(true, before(1)))[0].level).toBe("good");
  expect(say(pause(true, inAnHour), pause(false, null))[0].level).toBe("good");
});

test("a stream in DRAIN_PAUSED has the playbook, because no button ends it", () => {
  const state = withLiveLines(NOTHING_SEEN, [hello({ paused: ["leads"] }), counts([])], nowMs);
  const [{ sentence, remedy }] = verdict(state, FOLLOWING, nowMs);
  expect(sentence).toBe("leads is in DRAIN_PAUSED: 0 events wait.");
  expect(remedy).toEqual({ kind: "playbook", section: "pausing-a-stream" });
});

test.each([
  ["Redis does not answer", [counts(null)], "upstash-is-down"],
  [
    "Postgres refuses events: column payload does not exist (42703); 1 event of events waits.",
    [waiting(1), stopped("misconfigured", "column payload does not exist", "42703")],
    "oldest-event-is-old",
  ],
  [
    "Postgres does not answer; 7 events of events wait.",
    [waiting(7), stopped("unreachable", null)],
    "neon-is-down",
  ],
  [
    "Postgres is busy with events: a table is locked (55P03)",
    [waiting(1), stopped("busy", "a table is locked", "55P03")],
    "oldest-event-is-old",
  ],
] as [string, LiveLine[], string][])("%s, with the playbook", (begins, lines, section) => {
  const [{ sentence, remedy }] = say(...lines);
  expect(sentence.startsWith(begins)).toBe(true);
  expect(remedy).toEqual({ kind: "playbook", section });
});

test("a stream that was refused is well again once a batch of it is settled, or nothing of it waits", () => {
  const refused = [waiting(1), stopped("misconfigured", "no")];
  expect(say(...refused, batch(1))[0].level).toBe("good");
  expect(say(...refused, counts([]))[0].level).toBe("good");
  expect(say(...refused, batch(1, NOW, "leads"))[0].level).toBe("bad");
});

test("a partition that a drain call holds for minutes is stuck; one that is held for a minute is not", () => {
  const held = (seconds: number) =>
    say(counts([{ stream: "events", claimed: 100, heldPartitions: 2, heldSinceAt: before(seconds) }]));
  expect(held(600)[0]).toMatchObject({
    sentence: "events is stuck: a drain call holds 2 partitions for 10 min.",
    remedy: { kind: "show", panel: "doctor" },
  });
  expect(held(60)[0].level).toBe("good");
});

test("dead letters are shown by their panel, held ones with their reason", () => {
  const letters = (dead: number, held: number): LiveLine => ({
    ...{ kind: "letters", at: NOW },
    streams: [{ stream: "events", dead, held, heldReason: held > 0 ? "value too long" : null }],
  });
  expect(say(letters(3, 0))[0]).toMatchObject({
    sentence: "3 dead letters of events wait for you.",
    remedy: { kind: "show", panel: "letters" },
  });
  expect(say(letters(0, 1))[0].sentence).toBe("1 event of events is held and tried again: value too long.");
  expect(say({ kind: "letters", at: NOW, streams: null })[0].sentence).toContain("Postgres does not answer");
});

test("an event that waits too long has Drain now, unless its stream is paused", () => {
  expect(say(waiting(5, 600))[0]).toMatchObject({
    sentence: "The oldest event of events waits for 10 min; 5 events in all.",
    remedy: { kind: "drain", stream: "events" },
  });
  expect(say(waiting(5, 600), pause(true, inAnHour)).map(({ remedy }) => remedy?.kind)).toEqual(["resume"]);
  expect(say(waiting(5, 100))[0].level).toBe("good");
});

test("the worst comes first, and the others below it", () => {
  const letters: LiveLine = {
    ...{ kind: "letters", at: NOW },
    streams: [{ stream: "leads", dead: 1, held: 0, heldReason: null }],
  };
  const found = say(letters, pause(true, inAnHour), counts(null));
  expect(found.map(({ sentence }) => sentence.split(" ").slice(0, 2).join(" "))).toEqual([
    "Redis does",
    "events is",
    "1 dead",
  ]);
});

test("before anything was heard it does not say that all is well, and a lost connection says why", () => {
  expect(verdict(NOTHING_SEEN, { kind: "waiting" }, nowMs)[0].level).toBe("unknown");
  const lost = verdict(after(), { kind: "lost", why: "It does not answer." }, nowMs);
  expect(lost).toMatchObject([{ level: "bad", sentence: "It does not answer." }]);
});

test("ages go by the supervisor's clock, not by the page's", () => {
  const state = withLiveLines(NOTHING_SEEN, [hello(), waiting(1, 5)], nowMs - 3_600_000);
  expect(verdict(state, FOLLOWING, nowMs - 3_600_000)[0].sentence).toContain("nothing waits longer than 5 s");
});
