/** The body of a command: what is read, and how each other body is refused. */
import { IncomingMessage } from "node:http";
import { Socket } from "node:net";
import { gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { z } from "zod";
import type { Problem } from "../../functions/answer.ts";
import { readJsonBody } from "../../functions/json-body.ts";

const schema = z.strictObject({ name: z.string(), ids: z.array(z.int()).optional() });

function read(body: string | Buffer, headers: Record<string, string> = {}) {
  const req = new IncomingMessage(new Socket());
  Object.assign(req.headers, { "content-type": "application/json", ...headers });
  req.push(body);
  req.push(null);
  req.complete = true;
  return readJsonBody(req, schema).catch(({ code, extra }: Problem) => ({ code, extra }));
}

test("a body is read as its schema declares it", async () => {
  expect(await read('{"name":"ü","ids":[1]}')).toEqual({ name: "ü", ids: [1] });
  expect(await read('{"name":"a"}', { "content-type": "Application/JSON; charset=utf-8" })).toEqual({
    name: "a",
  });
  expect(await read(JSON.stringify({ name: "x".repeat(65_536 - 11) }))).toMatchObject({
    name: expect.any(String),
  });
});

test.each([
  [
    "another media type, as a page may send it",
    '{"name":"a"}',
    { "content-type": "text/plain" },
    "unsupported-media-type",
  ],
  ["no media type", '{"name":"a"}', { "content-type": "" }, "unsupported-media-type"],
  [
    "another charset",
    '{"name":"a"}',
    { "content-type": "application/json; charset=latin1" },
    "unsupported-media-type",
  ],
  ["a compressed body", gzipSync('{"name":"a"}'), { "content-encoding": "gzip" }, "unsupported-encoding"],
  ["over 64 KB", JSON.stringify({ name: "x".repeat(65_536) }), {}, "body-too-large"],
  ["a declared length over 64 KB", "{}", { "content-length": "65537" }, "body-too-large"],
  ["not JSON", "{name:1}", {}, "invalid-body"],
  ["nothing", "", {}, "invalid-body"],
  ["not UTF-8", Buffer.from([0x22, 0xff, 0x22]), {}, "invalid-body"],
] as const)("%s is refused", async (_, body, headers, code) => {
  expect(await read(body, headers)).toMatchObject({ code });
});

test("each field that is wrong is named, unknown ones too", async () => {
  const { code, extra } = (await read('{"ids":[1,"b"],"nmae":"a"}')) as Problem;
  expect(code).toBe("invalid-body");
  const { errors } = extra as { errors: { path: string; message: string }[] };
  expect(errors.map(({ path }) => path).sort()).toEqual(["", "ids.1", "name"]);
  expect(errors.find(({ path }) => path === "")?.message).toContain("nmae");
});
