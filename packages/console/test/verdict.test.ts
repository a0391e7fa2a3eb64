/** The verdict says what is wrong in a sentence, the worst first, each with the button that mends it. */
import { expect, test } from "vitest";
import type { LiveHello, LiveLine } from "../../../lib/contract/live.ts";
import type { LiveBatch } from "../../../lib/contract/live-history.ts";
import { NOTHING_SEEN, withLiveLines } from "../src/model/live-state.ts";
import { type Connection, verdict } from "../src/model/verdict.ts";
import { after, batch, before, counts, hello, NOW, nowMs, pause, stopped } from "./lines.ts";

const FOLLOWING: Connection = { kind: "following" };
const say = (...lines: LiveLine[]) => verdict(after(...lines), FOLLOWING, nowMs);
const inAnHour = new Date(nowMs + 3_600_000).toISOString();
const waiting = (pending: number, oldestSeconds = 1) =>
  counts([{ stream: "events", pending, oldestReceivedAt: before(oldestSeconds) }]);

const quarter = (at: string, stored: number) => ({ at, stored });
/** What a page says whose response began with that count. */
const sayCounted = (storedSoFar: LiveHello["storedSoFar"], ...lines: LiveLine[]) => {
  const first = hello({ cursor: 0, ...(storedSoFar && { storedSoFar }) });
  return verdict(withLiveLines(NOTHING_SEEN, [first, counts([]), ...lines], nowMs), FOLLOWING, nowMs)[0];
};
/** Midnight of the day of NOW, by this machine's zone. */
const midnightMs = new Date(nowMs).setHours(0, 0, 0, 0);
const fromMidnight = (minutes: number) => new Date(midnightMs + minutes * 60_000).toISOString();

test("all is well, with what was stored today and how long anything waits", () => {
  const soFar = {
    sinceAt: fromMidnight(-600),
    quarters: [quarter(fromMidnight(-15), 70), quarter(fromMidnight(0), 3400)],
  };
  const finding = sayCounted(soFar, batch(12), waiting(2, 4));
  expect(finding).toEqual({
    level: "good",
    sentence: "All is well: the drain stored 3,412 events today, nothing waits longer than 4 s.",
    remedy: null,
  });
  expect(sayCounted({ sinceAt: fromMidnight(0), quarters: [] }, batch(1)).sentence).toContain(
    "1 event today",
  );
});

test("what was stored is counted from when the supervisor began, if that was today; without a count nothing is said", () => {
  expect(sayCounted({ sinceAt: before(60), quarters: [] }, batch(1)).sentence).toMatch(
    /^All is well: the drain stored 1 event since \d\d:\d\d, nothing waits\.$/,
  );
  expect(sayCounted(undefined, batch(1)).sentence).toBe("All is well: nothing waits.");
});

test("nothing is counted twice: neither the history, nor a response that goes on, nor Spillway's own rows", () => {
  const soFar = { sinceAt: fromMidnight(-1), quarters: [quarter(fromMidnight(0), 100)] };
  const old = batch(40, before(20)) as LiveBatch;
  const next = batch(7) as LiveBatch;
  const first = withLiveLines(
    NOTHING_SEEN,
    [
      hello({ cursor: old.cursor, storedSoFar: soFar }),
      old,
      counts([]),
      batch(5, NOW, "spillway_usage"),
      next,
    ],
    nowMs,
  );
  expect(verdict(first, FOLLOWING, nowMs)[0].sentence).toContain("stored 107 events today");
  const again = { ...hello({ cursor: next.cursor, isContinued: true }) };
  const more = { ...soFar, quarters: [quarter(fromMidnight(0), 107)] };
  const second = withLiveLines(first, [{ ...again, storedSoFar: more }, batch(1)], nowMs);
  expect(verdict(second, FOLLOWING, nowMs)[0].sentence).toContain("stored 108 events today");
});

test("a page that missed lines says at least, until a response begins that has the whole count", () => {
  const soFar = { sinceAt: fromMidnight(-1), quarters: [] };
  const state = withLiveLines(
    NOTHING_SEEN,
    [hello({ storedSoFar: soFar }), counts([]), batch(7), { kind: "behind", at: NOW, missed: 3 }],
    nowMs,
  );
  expect(verdict(state, FOLLOWING, nowMs)[0].sentence).toContain("stored at least 7 events today");
  const again = hello({
    isContinued: true,
    storedSoFar: { ...soFar, quarters: [quarter(fromMidnight(0), 20)] },
  });
  expect(verdict(withLiveLines(state, [again], nowMs), FOLLOWING, nowMs)[0].sentence).toContain(
    "stored 20 events",
  );
});

test("after midnight the day begins anew", () => {
  const soFar = { sinceAt: fromMidnight(-1), quarters: [quarter(fromMidnight(0), 100)] };
  const state = withLiveLines(NOTHING_SEEN, [hello({ storedSoFar: soFar }), counts([])], nowMs);
  const tomorrowMs = new Date(nowMs).setHours(24, 5, 0, 0);
  expect(verdict(state, FOLLOWING, tomorrowMs)[0].sentence).toContain("stored 0 events today");
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

test("a pause for which nothing waits does no harm yet: whatever else is wrong stands before it", () => {
  const died: LiveLine = { ...(batch(2) as LiveBatch), stored: 1, dead: 1 };
  const state = withLiveLines(NOTHING_SEEN, [hello({ paused: ["leads"] }), counts([]), died], nowMs);
  const sentences = verdict(state, FOLLOWING, nowMs).map(({ sentence }) => sentence);
  expect(sentences).toEqual([
    expect.stringMatching(/^1 event of events became a dead letter/),
    "leads is in DRAIN_PAUSED: 0 events wait.",
  ]);
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

const dying = (dead: number, held = 0): LiveLine => ({
  ...(batch(dead + held) as LiveBatch),
  stored: 0,
  dead,
  held,
});
const lettersOf = (dead: number, held = 0): LiveLine => ({
  ...{ kind: "letters", at: before(3600) },
  streams: dead + held === 0 ? [] : [{ stream: "events", dead, held, heldReason: null }],
});
const shown = { kind: "show", panel: "letters" };

test("while the panel is shut, the drain's own lines say what died and was held", () => {
  const [finding] = say(dying(1), dying(2, 1));
  expect(finding?.sentence).toMatch(/^3 events of events became dead letters since \d\d:\d\d\.$/);
  expect(finding?.remedy).toEqual(shown);
  expect(say(dying(0, 1))[0].sentence).toMatch(
    /^1 event of events was held since \d\d:\d\d, to be tried again\.$/,
  );
  const retried: LiveLine = {
    ...{ kind: "retried", cursor: 9, at: NOW },
    stream: "events",
    stored: 0,
    dead: 1,
  };
  expect(say(retried)[0].sentence).toMatch(/^1 event of events became a dead letter since/);
  expect(say(dying(1), { kind: "behind", at: NOW, missed: 1 })[0].sentence).toMatch(/^At least 1 event of/);
});

test("Postgres' count takes its place while the panel is open, and what dies later is added when it is shut again", () => {
  const open = withLiveLines(
    after(dying(3)),
    [hello({ isContinued: true, panels: ["letters"] }), lettersOf(0)],
    nowMs,
  );
  expect(verdict(open, FOLLOWING, nowMs)[0].level).toBe("good");
  const shut = withLiveLines(open, [hello({ isContinued: true })], nowMs);
  expect(verdict(shut, FOLLOWING, nowMs)[0].level).toBe("good");
  const [later] = verdict(withLiveLines(shut, [dying(1)], nowMs), FOLLOWING, nowMs);
  expect(later.sentence).toMatch(/^1 event of events became a dead letter since \d\d:\d\d\.$/);

  const two = withLiveLines(open, [lettersOf(2), hello({ isContinued: true })], nowMs);
  expect(verdict(two, FOLLOWING, nowMs)[0]).toMatchObject({
    sentence: expect.stringMatching(/^2 dead letters of events waited at \d\d:\d\d\.$/),
    remedy: shown,
  });
  expect(verdict(withLiveLines(two, [dying(3)], nowMs), FOLLOWING, nowMs)[0].sentence).toMatch(
    /^2 dead letters of events waited at \d\d:\d\d, and 3 events became dead letters since \d\d:\d\d\.$/,
  );
  const held = withLiveLines(open, [lettersOf(0, 2), hello({ isContinued: true })], nowMs);
  expect(verdict(held, FOLLOWING, nowMs)[0].sentence).toMatch(
    /^2 events of events were held at \d\d:\d\d\.$/,
  );
});

test("a history that comes whole again does not count what Postgres had counted", () => {
  const counted = withLiveLines(
    after(),
    [hello({ isContinued: true, panels: ["letters"] }), lettersOf(1), hello({ isContinued: true })],
    nowMs,
  );
  const old = { ...(dying(1) as LiveBatch), at: before(30) };
  const begun = withLiveLines(counted, [hello({ ring: "r2", cursor: old.cursor }), counts([]), old], nowMs);
  expect(verdict(begun, FOLLOWING, nowMs)[0].sentence).toMatch(
    /^1 dead letter of events waited at \d\d:\d\d\.$/,
  );
});

test("a batch that was abandoned hides neither why the last one was refused, nor that events wait for too long", () => {
  expect(say(waiting(1), stopped("misconfigured", "no"), stopped("abandoned", null))[0].level).toBe("bad");
  expect(say(waiting(5, 600), stopped("abandoned", null))[0].remedy).toEqual({
    kind: "drain",
    stream: "events",
  });
});

test("a clock that is set while the page is open is noticed by the next line", () => {
  const aheadMs = nowMs + 600_000; // this machine's clock was set ten minutes ahead
  const lines = [waiting(1, 5), { kind: "alive", at: NOW } as const];
  const state = withLiveLines(after(), lines, aheadMs);
  expect(verdict(state, FOLLOWING, aheadMs)[0].sentence).toContain("nothing waits longer than 5 s");
});

test("if it is not known since when the oldest waits, it says how many wait", () => {
  expect(say(counts([{ stream: "events", pending: 2 }]))[0].sentence).toBe("All is well: 2 events wait.");
});

test("the playbook is offered if the supervisor is lost, and not if the console is", () => {
  const lost = (isOfSupervisor: boolean) =>
    verdict(after(), { kind: "lost", why: "Lost.", isOfSupervisor }, nowMs)[0].remedy;
  expect(lost(true)).toEqual({ kind: "playbook", section: "no-successful-drain" });
  expect(lost(false)).toBeNull();
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
  expect(found[1]?.sentence).not.toContain("wait"); // Redis does not say how many
});

test("before anything was heard it does not say that all is well, and a lost connection says why", () => {
  expect(verdict(NOTHING_SEEN, { kind: "waiting" }, nowMs)[0].level).toBe("unknown");
  const lost = verdict(after(), { kind: "lost", why: "It does not answer.", isOfSupervisor: true }, nowMs);
  expect(lost).toMatchObject([{ level: "bad", sentence: "It does not answer." }]);
});

test("ages go by the supervisor's clock, not by the page's", () => {
  const state = withLiveLines(NOTHING_SEEN, [hello(), waiting(1, 5)], nowMs - 3_600_000);
  expect(verdict(state, FOLLOWING, nowMs - 3_600_000)[0].sentence).toContain("nothing waits longer than 5 s");
});
