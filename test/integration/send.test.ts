/** `spillway send` against real servers: every line is stored once, whatever ends it on the way, and what is rejected is said. */
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { type Run, runSpillway } from "./run-spillway.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

const folder = mkdtempSync(join(tmpdir(), "spillway send "));
let world: World;
let ingest: Ingest;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
  rmSync(folder, { recursive: true });
});

const file = (name: string, content: string | Buffer): string => {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
};
const env = (url = ingest.url) => ({ SPILLWAY_URL: url, SPILLWAY_API_KEY: KEY });
const send = (args: string[], options: { url?: string; input?: string } = {}): Promise<Run> =>
  runSpillway(["send", ...args], {
    env: env(options.url),
    ...(options.input ? { input: options.input } : {}),
  });

/** Drains, and returns what each row's payload says. */
async function stored(): Promise<unknown[]> {
  await drain(world.supervisor(), { stream: "events" });
  const { rows } = await world.sql.query("select id, payload from events");
  await expectConserved(
    world,
    "events",
    rows.map(({ id }: { id: string }) => id),
  );
  return rows.map(({ payload }: { payload: unknown }) => payload);
}

const lineOf = (payload: unknown) => JSON.stringify({ type: "t", payload });
const numbered = (count: number) => `${Array.from({ length: count }, (_, i) => lineOf(i)).join("\n")}\n`;
const ascending = (payloads: unknown[]) => payloads.map(Number).sort((a, b) => a - b);
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Hands a request on to ingest. */
async function handOn(req: IncomingMessage): Promise<Response> {
  const pieces: Buffer[] = [];
  for await (const piece of req) pieces.push(piece as Buffer);
  const names = ["authorization", "content-type", "idempotency-key"];
  const headers = Object.fromEntries(names.map((name) => [name, String(req.headers[name])]));
  return fetch(`${ingest.url}${req.url}`, {
    ...{ method: "POST", headers },
    body: new Uint8Array(Buffer.concat(pieces)),
  });
}

/** A server in front of ingest, which may answer in its place. */
async function inFront(answerInstead: (req: IncomingMessage, res: ServerResponse, turn: number) => boolean) {
  let turn = 0;
  const requests: { key: string; status: number }[] = [];
  const { url, close } = await world.serve(async (req, res) => {
    if (answerInstead(req, res, turn++)) return;
    const answer = await handOn(req);
    requests.push({ key: String(req.headers["idempotency-key"]), status: answer.status });
    res.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  });
  return { url, close, requests };
}

test("each line of a file becomes one event, and sending it again stores nothing twice", async () => {
  const path = file("1200.ndjson", numbered(1200));
  for (let times = 0; times < 2; times++)
    expect(await send(["events", path])).toEqual({
      code: 0,
      out: "1,200 events accepted, 0 rejected.\n",
      err: "",
    });
  expect(ascending(await stored())).toEqual(upTo(1200));
});

test("equal lines are events of their own, in one batch and over several", async () => {
  const path = file("equal.ndjson", `${lineOf(7)}\n`.repeat(1100));
  await send(["events", path]);
  await send(["events", path]);
  expect(await stored()).toEqual(Array(1100).fill(7));
});

test("standard input, CRLF, empty lines, a byte order mark and a last line without its end", async () => {
  const input = `\ufeff${lineOf(0)}\r\n\r\n  \n${lineOf(1)}\n\n${lineOf(2)}`;
  for (const args of [["events"], ["events", "-"]])
    expect(await send(args, { input })).toMatchObject({ code: 0, out: "3 events accepted, 0 rejected.\n" });
  expect(ascending(await stored())).toEqual([0, 1, 2]);
});

test("lines that ingest takes for empty ones don't move the numbers of others", async () => {
  const path = file("blank.ndjson", `\r\r\n \r \n${lineOf(0)}\r\r\nnot json\n\r\n`);
  expect(await send(["events", path])).toEqual({
    code: 1,
    out: "1 event accepted, 1 rejected.\n",
    err: "line 4: expected JSON\n",
  });
  expect(await stored()).toEqual([0]);
});

describe("rejected lines", () => {
  const bad = [
    lineOf(0),
    "not json",
    "",
    '{"type":1,"payload":{}}',
    lineOf(1),
    `{"type":"t","payload":"${"x".repeat(40_000)}"}`,
    `{"type":"t","payload":"${"y".repeat(8_000_000)}"}`,
    `{"type":"t","payload":"\u0000caf\u00e9"}`,
  ];
  const content = Buffer.concat([
    Buffer.from(`${bad.slice(0, 7).join("\n")}\n`),
    Buffer.from([0x22, 0xff, 0x22]),
    Buffer.from(`\n${lineOf(2)}`),
  ]);

  test("are said with their numbers and reasons, the others are stored, and the exit status is 1", async () => {
    const { code, out, err } = await send(["events", file("bad.ndjson", content)]);
    expect([code, out]).toEqual([1, "3 events accepted, 5 rejected.\n"]);
    expect(err.trimEnd().split("\n")).toEqual([
      "line 2: expected JSON",
      expect.stringMatching(/^line 4: type: /),
      expect.stringMatching(/^line 6: .*bytes/),
      expect.stringMatching(/^line 7: expected at most 8000000 bytes/),
      "line 8: expected UTF-8 text",
    ]);
    expect(ascending(await stored())).toEqual([0, 1, 2]);
  });

  test("go to a file with their text, which can be mended and sent", async () => {
    const path = join(folder, "rejected.ndjson");
    const { code, err } = await send(["events", file("bad.ndjson", content), "--rejected", path]);
    expect([code, err]).toEqual([1, ""]);
    const found = readFileSync(path, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(found.map(({ line, code: why }) => [line, why])).toEqual([
      [2, "invalid-event"],
      [4, "invalid-event"],
      [6, "event-too-large"],
      [7, "event-too-large"],
      [8, "invalid-event"],
    ]);
    expect(found[1]).toMatchObject({ text: bad[3], errors: [{ path: "type" }] });
    expect(ascending(await stored())).toEqual([0, 1, 2]);
  });

  test("are a failure also if nobody reads what is said of them", async () => {
    const program = fileURLToPath(new URL("../../bin/spillway.mjs", import.meta.url));
    const command = `'${process.execPath}' '${program}' send events '${file("bad-3.ndjson", "x\n".repeat(3))}' 2>&1 | true; exit "\${PIPESTATUS[0]}"`;
    for (let times = 0; times < 3; times++) {
      const child = spawn("bash", ["-c", command], { env: { ...process.env, ...env() }, stdio: "ignore" });
      expect(await new Promise((resolve) => child.once("close", resolve))).toBe(1);
    }
  });

  test("of which there are more than a hundred are counted, and a batch without any good line is no failure", async () => {
    const { code, out, err } = await send(["events", file("all-bad.ndjson", "x\n".repeat(620))]);
    expect([code, out]).toEqual([1, "0 events accepted, 620 rejected.\n"]);
    expect(err.trimEnd().split("\n")).toHaveLength(101);
    expect(err).toContain("and 520 lines more; --rejected FILE");
    expect(await stored()).toEqual([]);
  });
});

describe("what goes wrong on the way", () => {
  test("429, 503, a broken connection and a gateway's page are waited for, and each line is stored once", async () => {
    const front = await inFront((req, res, turn) => {
      if (turn === 0)
        res.writeHead(429, { "retry-after": "1" }).end(JSON.stringify({ code: "rate-limited" }));
      else if (turn === 1) res.writeHead(502, { "content-type": "text/html" }).end("<html>");
      else if (turn === 2) req.socket.destroy();
      else return false;
      return true;
    });
    const { code, out, err } = await send(["events", file("700.ndjson", numbered(700))], { url: front.url });
    await front.close();
    expect([code, out]).toEqual([0, "700 events accepted, 0 rejected.\n"]);
    expect(err.match(/^Ingest takes nothing now \(.*\); next try in \d+ s\.$/gm)).toHaveLength(3);
    expect(ascending(await stored())).toEqual(upTo(700));
  });

  test("an answer that is lost after the events were kept: sent again under the same key, stored once", async () => {
    let lost = 0;
    const { url, close } = await world.serve(async (req, res) => {
      const answer = await handOn(req);
      if (lost++ === 0) req.socket.destroy();
      else res.writeHead(answer.status).end(await answer.text());
    });
    const { code } = await send(["events", file("20.ndjson", numbered(20))], { url });
    await close();
    expect([code, lost]).toEqual([0, 2]);
    expect(ascending(await stored())).toEqual(upTo(20));
  });

  test("smaller limits of the installation: batches are halved until they fit, the same ones each time", async () => {
    const small = await serveIngest(world, { eventsMax: 60 });
    const path = file("300.ndjson", numbered(300));
    for (let times = 0; times < 2; times++)
      expect(await send(["events", path], { url: small.url })).toMatchObject({ code: 0 });
    await small.close();
    expect(ascending(await stored())).toEqual(upTo(300));
  });

  const NOT_INGEST = /The answer is \d+, but not as ingest writes it: .*Run the same command again/;
  test.each<[what: string, status: number, body: string, says: RegExp]>([
    ["a page with a 202", 202, "<html>", NOT_INGEST],
    ["a 202 that names no events", 202, "{}", NOT_INGEST],
    ["a 202 for fewer events than were sent", 202, '{"accepted":1,"ids":[]}', NOT_INGEST],
    ["a 202 in other words", 202, '{"accepted":"all"}', NOT_INGEST],
    [
      "a 202 that rejects a line that was not sent",
      202,
      '{"accepted":2,"rejected":[{"index":3}]}',
      NOT_INGEST,
    ],
    ["a 202 with nonsense for what is rejected", 202, '{"accepted":3,"rejected":{"a":1}}', NOT_INGEST],
    ["a 422 of something else", 422, "<html>", NOT_INGEST],
    ["a 200", 200, '"fine"', NOT_INGEST],
    ["a detail that is no text", 400, '{"detail":{"a":1}}', /Ingest answered 400: it does not say why\. /],
    ["a redirection", 302, "", /Ingest answered 302: it redirects/],
  ])("%s counts as nothing stored", async (_, status, body, says) => {
    const front = await inFront((req, res) => {
      req.resume();
      res.writeHead(status, status === 302 ? { location: "/login" } : {}).end(body);
      return true;
    });
    const { code, out, err } = await send(["events", file("3.ndjson", numbered(3))], { url: front.url });
    await front.close();
    expect([code, out, err]).toEqual([1, "", expect.stringMatching(says)]);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });

  test("a pause of years is none, and a reason can't steer the terminal", async () => {
    const front = await inFront((_, res) => {
      res.writeHead(503, { "retry-after": "99999999" }).end(JSON.stringify({ detail: "\u001b[2Jgone" }));
      return true;
    });
    const program = fileURLToPath(new URL("../../bin/spillway.mjs", import.meta.url));
    const child = spawn(process.execPath, [program, "send", "events", file("3.ndjson", numbered(3))], {
      env: { ...process.env, ...env(front.url) },
    });
    let said = "";
    const ended = new Promise((resolve) => child.once("close", resolve));
    child.stderr.on("data", (chunk) => {
      said += String(chunk);
      if (said.includes("next try")) child.kill("SIGINT");
    });
    await ended;
    await front.close();
    expect(said).toMatch(/^Ingest takes nothing now \(\\u001b\[2Jgone\); next try in 1\d min\.\nStopped\./);
  });

  test("a file too large for something on the way: each line is said, with the reason", async () => {
    const front = await inFront((_, res) => {
      res.writeHead(413, { "content-type": "text/html" }).end("<html>");
      return true;
    });
    const { code, err } = await send(["events", file("3.ndjson", numbered(3))], { url: front.url });
    await front.close();
    expect([code, err]).toEqual([1, expect.stringMatching(/^line 1: it is too large/)]);
  });

  test.each([
    ["a stream that there is not", ["nope"], 404],
    ["a stream that the key may not use", ["events"], 403],
  ])("%s is a sentence, and nothing is sent", async (_, [stream = ""], status) => {
    const key = status === 403 ? { SPILLWAY_API_KEY: "leads-key" } : {};
    const { code, out, err } = await runSpillway(["send", stream, file("3.ndjson", numbered(3))], {
      env: { ...env(), ...key },
    });
    expect([code, out]).toEqual([1, ""]);
    expect(err).toMatch(
      status === 403 ? /Ingest answered 40[13]: / : /Ingest answered 404: no stream is named "nope"/,
    );
    expect(err).not.toMatch(/\n\s+at /);
  });

  test("files that can't be read or written are a sentence", async () => {
    const missing = await send(["events", join(folder, "missing")]);
    expect(missing).toMatchObject({
      code: 1,
      err: expect.stringMatching(/missing can't be read \(ENOENT\)/),
    });
    expect(await send(["events", folder])).toMatchObject({ code: 1, err: expect.stringMatching(/EISDIR/) });
    const unwritable = await send([
      "events",
      file("1.ndjson", numbered(1)),
      "--rejected",
      join(folder, "no/x"),
    ]);
    expect(unwritable).toMatchObject({ code: 1, err: expect.stringMatching(/can't be written \(ENOENT\)/) });
    expect(await stored()).toEqual([]);
  });
});

/** Starts a sending, and resolves when ingest has answered so many of its batches. */
async function sendUntil(batches: number, path: string, end: (pid: number) => void) {
  let answered = 0;
  let reached: () => void;
  const enough = new Promise<void>((resolve) => {
    reached = resolve;
  });
  const front = await inFront(() => {
    if (answered++ === batches) reached();
    return false;
  });
  const program = fileURLToPath(new URL("../../bin/spillway.mjs", import.meta.url));
  const child = spawn(process.execPath, [program, "send", "events", path, "--rate", "5000"], {
    env: { ...process.env, ...env(front.url) },
  });
  let said = "";
  child.stderr.on("data", (chunk) => (said += String(chunk)));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  await enough;
  end(child.pid ?? 0);
  const code = await ended;
  await front.close();
  return { code, said };
}

test("killed in the middle and run again, each line is stored once", async () => {
  const path = file("5000.ndjson", numbered(5000));
  const { code } = await sendUntil(4, path, (pid) => process.kill(pid, "SIGKILL"));
  expect(code).toBe(null);
  const before = ascending(await stored());
  expect(before.length).toBeGreaterThanOrEqual(2000);
  expect(before.length).toBeLessThan(5000);
  expect(await send(["events", path])).toMatchObject({ code: 0 });
  expect(ascending(await stored())).toEqual(upTo(5000));
});

test("Ctrl-C says how to go on, and going on from there sends only what is left", async () => {
  const path = file("5000.ndjson", numbered(5000));
  const { code, said } = await sendUntil(3, path, (pid) => process.kill(pid, "SIGINT"));
  expect(code).toBe(1);
  const [, from = ""] = /Run the same command again to go on: .*; --from-line (\d+) spares/.exec(said) ?? [];
  expect(Number(from)).toBeGreaterThan(1000);
  const front = await inFront(() => false);
  expect(await send(["events", path, "--from-line", from], { url: front.url })).toMatchObject({ code: 0 });
  await front.close();
  expect(front.requests).toHaveLength((5000 - Number(from) + 1) / 500);
  expect(ascending(await stored())).toEqual(upTo(5000));
});

test("a file that has grown: from its first new line on, only what is new is sent", async () => {
  const path = file("grows.ndjson", numbered(120));
  expect(await send(["events", path])).toMatchObject({ code: 0 });
  writeFileSync(path, numbered(700));
  expect(await send(["events", path, "--from-line", "121"])).toMatchObject({
    code: 0,
    out: "580 events accepted, 0 rejected.\n",
  });
  expect(ascending(await stored())).toEqual(upTo(700));
});

test("--from-line within a batch that was sent stores nothing twice", async () => {
  const path = file("700.ndjson", numbered(700));
  for (const args of [[], ["--from-line", "37"]])
    expect(await send(["events", path, ...args])).toMatchObject({ code: 0 });
  expect(ascending(await stored())).toEqual(upTo(700));
});

test("--json prints the sum, and no bar is drawn where standard error is no terminal", async () => {
  const { out, err } = await send(["events", file("10.ndjson", numbered(10)), "--json"]);
  expect([JSON.parse(out), err]).toEqual([{ accepted: 10, duplicates: 0, rejected: 0 }, ""]);
  expect(await stored()).toHaveLength(10);
});

test.each([
  [[], /expected a stream/],
  [["events", "a", "b"], /expected STREAM \[FILE\]/],
  [["events", "--rate", "x"], /--rate: expected a whole number/],
  [["events", "--form-line", "3"], /did you mean --from-line\?/],
])("%j is wrong usage", async (args, says) => {
  expect(await send(args)).toMatchObject({ code: 2, out: "", err: expect.stringMatching(says) });
});

test.skipIf(!existsSync("/usr/bin/script"))("on a terminal a bar shows how far it is", async () => {
  const path = file("3000.ndjson", numbered(3000));
  const program = fileURLToPath(new URL("../../bin/spillway.mjs", import.meta.url));
  const command = `'${process.execPath}' '${program}' send events '${path}' --rate 5000`;
  const said = await new Promise<string>((resolve) => {
    const child = spawn("script", ["-qec", command, "/dev/null"], {
      env: { ...process.env, ...env(), TERM: "xterm" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (chunk) => (text += String(chunk)));
    child.once("close", () => resolve(text));
  });
  expect(said).toMatch(/█+.*░+ +\d+ % \d[\d,]* events, [\d,]+\/s/);
  expect(said.slice(said.lastIndexOf("\x1b[K"))).toMatch(/3,000 events accepted, 0 rejected\./);
  expect(ascending(await stored())).toEqual(upTo(3000));
});
