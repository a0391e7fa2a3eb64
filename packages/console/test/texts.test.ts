/** What the page writes for people to run, and how it names letters and keys. */
import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import type { LetterGroup, ListedLetter } from "../../../lib/contract/letters.ts";
import { isOfGroup, queryOf } from "../src/model/letters.ts";
import { snippetsOf } from "../src/model/send-snippets.ts";
import { usageBy } from "../src/model/usage.ts";
import { countOf, spanOf } from "../src/phrases.ts";

test("the same event with curl is quoted for a shell, and no snippet holds a key", () => {
  const texts = snippetsOf("http://127.0.0.1:8080", "events", '{\n  "type": "it\'s"\n}').map(
    ({ text }) => text,
  );
  expect(texts[0]).toContain(`-d '{"type":"it'\\''s"}'`);
  expect(texts.every((text) => text.includes("SPILLWAY_API_KEY"))).toBe(true);
  expect(texts.every((text) => text.includes("http://127.0.0.1:8080/v1/events"))).toBe(true);
});

const AsyncFunction = (async () => {}).constructor as new (
  ...of: string[]
) => (...given: unknown[]) => Promise<unknown>;

/** The bodies that a snippet of JavaScript sends. */
async function sentBy(code: string): Promise<string[]> {
  const sent: string[] = [];
  const fetched = async (_: string, { body }: { body: string }) => {
    sent.push(body);
    return { status: 202, json: async () => ({}) };
  };
  await new AsyncFunction("fetch", "console", code)(fetched, { log: () => {} });
  return sent;
}

const HARD_EVENTS = [
  `{"n":[12345678901234567890,1.0,0.1e400,-0]}`,
  `{"__proto__":{"x":1},"a":1,"a":2}`,
  `{"text":"'''' $(id) \`x\` \\\\ \\"q\\"  \\n \\ud800 \u2028 é 👍"}`,
];

test.each(HARD_EVENTS)("each snippet sends %s as it was typed", async (event) => {
  const typed = event.replace(":", " :\n\t");
  const [curl = "", fetched = "", python = ""] = snippetsOf("http://127.0.0.1:1", "events", typed).map(
    ({ text }) => text,
  );
  const words = execFileSync("sh", ["-c", curl.replace("curl", "printf '%s\\0'")], { encoding: "utf8" });
  expect(words.split("\0").at(-2)).toBe(event);
  expect(await sentBy(fetched)).toEqual([event]);
  const [, raw = ""] = /data=r'''(.*?)'''\.encode\(\)/s.exec(python) ?? [];
  expect(raw.replaceAll("\\u0027", "'")).toBe(event);
});

test("a text that is no JSON is sent, and not run", async () => {
  const [, { text = "" } = {}] = snippetsOf("http://127.0.0.1:1", "events", 'fetch("x", { body: "ran" })');
  expect(await sentBy(text)).toEqual(['fetch("x", { body: "ran" })']);
});

test("usage is summed by key, who sent most first", () => {
  const hour = {
    hour: "2026-11-28T10:00:00Z",
    stream: "events",
    rejected: 1,
    throttled: 0,
    shed: 0,
    bytes: 10,
  };
  const rows = usageBy("key", [
    { ...hour, key: "a", accepted: 1 },
    { ...hour, key: null, accepted: 0 },
    { ...hour, key: "b", accepted: 5 },
    { ...hour, key: "a", accepted: 7, stream: "leads" },
  ]);
  expect(rows.map(({ name, accepted, rejected }) => [name, accepted, rejected])).toEqual([
    ["a", 8, 2],
    ["b", 5, 1],
    [null, 0, 1],
  ]);
});

test("a group's letters are those of its reason alone, although the query finds others, too", () => {
  const group = { stream: "events", sqlstate: null, reason: "too old", isHeld: false } as LetterGroup;
  const letter = { stream: "events", sqlstate: null, reason: "too old", retryAt: null } as ListedLetter;
  expect(isOfGroup(group, letter)).toBe(true);
  expect(isOfGroup(group, { ...letter, reason: "another" })).toBe(false);
  expect(isOfGroup(group, { ...letter, retryAt: "2026-11-28T10:00:00Z" })).toBe(false);
  expect(queryOf(group, "c")).toBe("each=1&limit=1000&stream=events&sqlstate=none&state=dead&cursor=c");
});

test("lengths of time and counts are as people say them", () => {
  expect([40, 4000, 61_000, 600_000, 7_200_000].map(spanOf)).toEqual([
    "40 ms",
    "4 s",
    "61 s",
    "10 min",
    "2 h",
  ]);
  expect([countOf(1, "event"), countOf(3412, "event")]).toEqual(["1 event", "3,412 events"]);
});
