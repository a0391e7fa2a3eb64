/**
 * The Big List of Naughty Strings, wherever a sender may choose a text: as values, keys, ids, in paths, queries and headers, and as attributes
 * of CloudEvents. What is accepted is stored as it was sent, under the id that docs/http.md says; all else is a 4xx that says why.
 */
import { request } from "node:http";
import naughtyStrings from "big-list-of-naughty-strings" with { type: "json" };
import { v5 } from "uuid";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { openRawClient, type RawAnswer } from "../raw-client.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

const ORIGIN = "https://app.example";

let world: World;
let ingest: Ingest;
let port: number;
beforeAll(async () => {
  world = await openWorld();
  ingest = await serveIngest(world, { corsOrigins: [ORIGIN] });
  port = Number(new URL(ingest.url).port);
});
beforeEach(() => world.reset());
afterAll(async () => {
  await ingest.close();
  await world.close();
});

const NAUGHTY: readonly string[] = [...new Set(naughtyStrings)];
const EVENT = { type: "naughty", payload: 1 };
const JSON_TYPE = "content-type: application/json";
/** A column's own limits, in `events`. */
const fits = (text: string) => text.length > 0 && text.length <= 200;

/** The id of a row whose sender gave it another, as docs/http.md has it. */
const rowIdOf = (...raw: string[]) =>
  v5(
    JSON.stringify(["events", "tester", raw.length === 1 ? raw[0] : JSON.stringify(raw)]),
    "6f1d7c1e-5b0a-5c39-9a54-0d6f5b8b1a77",
  );

/** Runs over all strings, some at once, and returns what came of each. */
async function overAll<T>(run: (text: string, index: number) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const worker = async () => {
    for (let i = next++; i < NAUGHTY.length; i = next++) results[i] = await run(NAUGHTY[i] ?? "", i);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  return results;
}

/** Sends a request as bytes; a text beyond ASCII goes as UTF-8. */
async function sendRaw(line: string, headers: readonly string[], body = ""): Promise<RawAnswer> {
  const client = openRawClient(port);
  const head = [
    ...[`${line} HTTP/1.1`, "host: spillway", ...headers],
    ...(headers.some((one) => one.startsWith("authorization:")) ? [] : [`authorization: Bearer ${KEY}`]),
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  client.send(Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`).toString("latin1"));
  const [answer] = await client.firstAnswers(1);
  client.destroy();
  if (!answer) throw new Error(`expected an answer to ${JSON.stringify(line)}, got none`);
  return answer;
}

/** Asks for a path as it is: fetch would make another one of `..` and of an empty segment. */
function statusOf(method: string, path: string, body?: string): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${KEY}`, "content-type": "application/json" };
    request(`${ingest.url}`, { path, method, headers })
      .on("error", reject)
      .on("response", (response) => {
        response.resume().on("end", () => resolve(response.statusCode));
      })
      .end(body);
  });
}

/** The statuses in which all of these answers came. Each error says why. */
function statusesOf(answers: readonly RawAnswer[]): number[] {
  for (const { status, headers, body } of answers) {
    expect(headers.get("content-type")).toBe(`application/${status < 400 ? "" : "problem+"}json`);
    expect(JSON.parse(body)).toMatchObject(status < 400 ? {} : { status, detail: expect.any(String) });
  }
  return [...new Set(answers.map(({ status }) => status))].sort();
}

const idsIn = (answers: readonly RawAnswer[]): string[] =>
  answers.flatMap(({ status, body }) => (status === 202 ? (JSON.parse(body) as { ids: string[] }).ids : []));

/** Drains, and returns each row by its id. */
async function rowsAfter(accepted: readonly string[]) {
  await drain(world.supervisor(), {});
  await expectConserved(world, "events", accepted);
  expect((await ingest.send("/health")).status).toBe(200);
  const { rows } = await world.sql.query<{ id: string; type: string; user_id: string; payload: unknown }>(
    "select id, type, user_id, payload from events",
  );
  return new Map(rows.map((row) => [row.id, row]));
}

test("the list is whole", () => {
  expect([naughtyStrings.length, NAUGHTY.length]).toEqual([461, 458]);
});

describe("in the body", () => {
  const payloadOf = (text: string) => ({ value: text, [text]: "key", list: [text, { [text]: [text] }] });
  const eventOf = (text: string) => ({
    ...{ type: fits(text) ? text : "t", payload: payloadOf(text) },
    ...(fits(text) ? { userId: text } : {}),
  });
  const cloudEventOf = (text: string, index: number) => ({
    ...{ specversion: "1.0", id: String(index), source: "s", data: payloadOf(text) },
    ...{ type: fits(text) ? text : "t", subject: fits(text) ? text : null },
  });

  test.each([
    ["application/json", JSON.stringify(NAUGHTY.map(eventOf))],
    ["application/x-ndjson", NAUGHTY.map((text) => JSON.stringify(eventOf(text))).join("\n")],
    ["application/cloudevents-batch+json", JSON.stringify(NAUGHTY.map(cloudEventOf))],
  ])("as values and keys, in %s", async (type, body) => {
    for (const query of ["?ack=buffered", "?ack=stored"]) {
      await world.reset();
      const answer = await ingest.postRaw("events", type, body, { query });
      expect(answer.body.rejected).toBeUndefined();
      const rows = await rowsAfter(answer.body.ids);
      NAUGHTY.forEach((text, index) => {
        expect(rows.get(answer.body.ids[index])).toMatchObject({
          ...{ type: fits(text) ? text : "t", user_id: fits(text) ? text : null },
          payload: payloadOf(text),
        });
      });
    }
  });

  test("as ids: each row has the id that docs/http.md says, and is found by the id that was sent", async () => {
    const { body } = await ingest.post(
      "events",
      NAUGHTY.map((id, payload) => ({ ...EVENT, id, payload })),
    );
    expect(body.rejected).toMatchObject([{ index: NAUGHTY.indexOf(""), errors: [{ path: "id" }] }]);
    const ids = NAUGHTY.filter((text) => text !== "");
    expect(body.ids).toEqual(ids.map((id) => rowIdOf(id)));
    const rows = await rowsAfter(body.ids);
    for (const id of ids) expect(NAUGHTY[rows.get(rowIdOf(id))?.payload as number]).toBe(id);
    for (let at = 0; at < ids.length; at += 20) {
      const some = ids.slice(at, at + 20);
      expect((await ingest.whereAll("events", some)).body.events).toEqual(
        some.map((id) => ({ id: rowIdOf(id), status: "stored" })),
      );
    }
    const found = await overAll((id) => statusOf("GET", `/v1/events/${encodeURIComponent(id)}`));
    expect(found).toEqual(NAUGHTY.map((id) => (id === "" ? 404 : 200)));
  });

  test.each(["source", "id"])("as a CloudEvent's %s: an event is found by both", async (name) => {
    const attributes = { specversion: "1.0", id: "1", source: "/s", type: "t" };
    const eventOf = (text: string, data: number): typeof attributes & { data: number } => ({
      ...{ ...attributes, data },
      [name]: text,
    });
    const events = NAUGHTY.map(eventOf);
    const type = "application/cloudevents-batch+json";
    const { body } = await ingest.postRaw("events", type, JSON.stringify(events));
    expect(body.rejected).toMatchObject([{ index: NAUGHTY.indexOf(""), errors: [{ path: name }] }]);
    const kept = events.filter(({ source, id }) => source !== "" && id !== "");
    expect(body.ids).toEqual(kept.map(({ source, id }) => rowIdOf(source, id)));
    const rows = await rowsAfter(body.ids);
    for (const { source, id, data } of kept) expect(rows.get(rowIdOf(source, id))?.payload).toBe(data);
    const found = await overAll((text) => {
      const { source, id } = eventOf(text, 0);
      return statusOf("GET", `/v1/events/${encodeURIComponent(id)}?source=${encodeURIComponent(source)}`);
    });
    expect(found).toEqual(NAUGHTY.map((text) => (text === "" ? 404 : 200)));
  });
});

describe("in the URL", () => {
  const body = JSON.stringify(EVENT);

  test("as the name of a stream, percent-encoded or as it is (a slash ends it): no stream has it", async () => {
    const names = NAUGHTY.map(encodeURIComponent);
    const encoded = await overAll(async (_, index) => [
      await statusOf("POST", `/v1/${names[index]}`, body),
      await statusOf("GET", `/v1/${names[index]}/1`),
      await statusOf("GET", `/${names[index]}`),
    ]);
    expect(encoded.flat().filter((status) => status !== 404)).toEqual([]);
    expect(statusesOf(await overAll((text) => sendRaw(`POST /v1/${text}`, [JSON_TYPE], body)))).toEqual([
      400, 404, 405,
    ]);
    await rowsAfter([]);
  });

  test("as a parameter that nobody reads: the event is stored; as ack: 400", async () => {
    const ids: string[] = [];
    const statuses = await overAll(async (text) => {
      const value = encodeURIComponent(text);
      const answers = await Promise.all([
        ingest.post("events", EVENT, { query: `?x=${value}` }),
        ingest.post("events", EVENT, { query: `?${value}=x` }),
        ingest.post("events", EVENT, { query: `?ack=${value}` }),
      ]);
      for (const answer of answers) ids.push(...(answer.body.ids ?? []));
      return answers.map(({ status }) => status);
    });
    expect(statuses).toEqual(NAUGHTY.map(() => [202, 202, 400]));
    await rowsAfter(ids);
  });
});

describe("in a header", () => {
  const body = JSON.stringify(EVENT);
  /** Control characters can't stand in a header (RFC 9110, 5.5). */
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them
  const isHeader = (text: string) => !/[\0-\x08\x0a-\x1f\x7f]/.test(text);

  test("as an Idempotency-Key: the same key and event again are one row", async () => {
    const send = (text: string) => sendRaw("POST /v1/events", [JSON_TYPE, `idempotency-key: ${text}`], body);
    const [first, second] = [await overAll(send), await overAll(send)];
    expect(statusesOf([...first, ...second])).toEqual([202, 400]);
    NAUGHTY.forEach((text, index) => {
      const bytes = Buffer.byteLength(text.replace(/^[ \t]+|[ \t]+$/g, ""));
      expect(first[index]?.status).toBe(isHeader(text) && bytes > 0 && bytes <= 255 ? 202 : 400);
    });
    const ids = idsIn(first);
    expect(idsIn(second)).toEqual(ids);
    await rowsAfter(ids);
  });

  test("percent-encoded, as the attributes of a binary CloudEvent: they are stored as they are", async () => {
    const answers = await overAll((text, index) => {
      const value = encodeURIComponent(text);
      const attributes = { id: `${index} ${value}`, source: value, type: value, subject: value };
      const headers = Object.entries(attributes).map(([name, one]) => `ce-${name}: ${one}`);
      return sendRaw("POST /v1/events", [JSON_TYPE, "ce-specversion: 1.0", ...headers], String(index));
    });
    expect(answers.map(({ status }) => status)).toEqual(NAUGHTY.map((text) => (fits(text) ? 202 : 422)));
    const rows = await rowsAfter(idsIn(answers));
    NAUGHTY.forEach((text, index) => {
      const row = rows.get(rowIdOf(text, `${index} ${text}`));
      if (fits(text)) expect(row).toMatchObject({ type: text, user_id: text, payload: index });
      else expect(row).toBeUndefined();
    });
  });

  test.each(["ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "ce-specversion", "ce-extension"])(
    "as it is, as %s: stored, or refused with a reason",
    async (name) => {
      const answers = await overAll((text) => {
        const attributes = { specversion: "1.0", id: "1", source: "s", type: "t", [name.slice(3)]: text };
        const headers = Object.entries(attributes).map(([own, one]) => `ce-${own}: ${one}`);
        return sendRaw("POST /v1/events", [JSON_TYPE, ...headers], "1");
      });
      for (const status of statusesOf(answers)) expect([202, 400, 422]).toContain(status);
      NAUGHTY.forEach((text, index) => {
        if (!isHeader(text)) expect(answers[index]?.status).toBe(400);
        else if (name === "ce-extension") expect(answers[index]?.status).toBe(202);
      });
      await rowsAfter(idsIn(answers));
    },
  );

  test("as Content-Type: 415, or the type of a binary CloudEvent's bytes", async () => {
    const plain = await overAll((text) => sendRaw("POST /v1/events", [`content-type: ${text}`], body));
    expect(plain.map(({ status }) => status)).toEqual(NAUGHTY.map((text) => (isHeader(text) ? 415 : 400)));
    const attributes = (id: number) => ["ce-specversion: 1.0", `ce-id: ${id}`, "ce-source: s", "ce-type: t"];
    const binary = await overAll((text, index) =>
      sendRaw("POST /v1/events", [...attributes(index), `content-type: ${text}`], "[1]"),
    );
    expect(binary.map(({ status }) => status)).toEqual(NAUGHTY.map((text) => (isHeader(text) ? 202 : 400)));
    const rows = await rowsAfter(idsIn(binary));
    NAUGHTY.forEach((text, index) => {
      const datacontenttype = Buffer.from(text)
        .toString("latin1")
        .replace(/^[ \t]+|[ \t]+$/g, "");
      if (isHeader(text))
        expect(rows.get(rowIdOf("s", String(index)))?.payload).toEqual(
          /^;|^$/.test(datacontenttype)
            ? [1]
            : // without a type they are JSON
              { data_base64: "WzFd", datacontenttype },
        );
    });
  });

  test.each([
    ["authorization: Bearer", [400, 401]],
    ["content-encoding:", [202, 400, 415]],
    ["expect:", [400, 417]],
    ["origin:", [202, 400]],
    ["x-request-id:", [202, 400]],
    ["traceparent:", [202, 400]],
    ["x-cloud-trace-context:", [202, 400]],
    ["cookie:", [202, 400]],
  ])("as %s", async (name, statuses) => {
    const answers = await overAll((text) => sendRaw("POST /v1/events", [`${name} ${text}`, JSON_TYPE], body));
    expect(statusesOf(answers)).toEqual(statuses);
    await rowsAfter(idsIn(answers));
  });

  test("in a preflight and in a handshake: answered, and no header of the answer is the sender's own", async () => {
    const asked = await overAll((text) =>
      sendRaw("OPTIONS /v1/events", [
        ...[`origin: ${ORIGIN}`, "access-control-request-method: POST"],
        `access-control-request-headers: ${text}`,
      ]),
    );
    const granted = await overAll((text) =>
      sendRaw("OPTIONS /v1/events", [`webhook-request-origin: ${text}`, `origin: ${text}`]),
    );
    NAUGHTY.forEach((text, index) => {
      expect([asked[index]?.status, granted[index]?.status]).toEqual(
        isHeader(text) ? [204, 200] : [400, 400],
      );
      const allowed = asked[index]?.headers.get("access-control-allow-headers") ?? "";
      expect(allowed).toMatch(/^[\w!#$%&'*+.^`|~, -]*$/);
    });
  });
});
