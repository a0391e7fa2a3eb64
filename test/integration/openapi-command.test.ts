/** `spillway openapi`: the document of the streams that are yours, in a file or on standard output. */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadOwnStreams } from "../own-installation.ts";
import { runSpillway } from "./run-spillway.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "spillway openapi "));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const tagsOf = ({ tags }: { tags: { name: string }[] }) => tags.map(({ name }) => name);
const yours = async () => [...(await loadOwnStreams()).values()].filter(({ retired }) => !retired);

test("writes OpenAPI 3.1 of every stream to standard output, without any server", async () => {
  const env = { UPSTASH_REDIS_REST_URL: "", DATABASE_URL: "", EVENTS_MAX: "7" };
  const { code, out, err } = await runSpillway(["openapi"], { env });
  expect([code, err]).toEqual([0, ""]);
  const document = JSON.parse(out);
  expect(await new Validator().validate(structuredClone(document))).toEqual({ valid: true });
  const names = (await yours()).map(({ name }) => name);
  expect(tagsOf(document)).toEqual(names);
  for (const name of names)
    expect(document.paths[`/v1/${name}`].post.requestBody.description).toMatch(/ 7 events/);
});

test("writes some streams to a file, with the server that is named", async () => {
  const file = join(folder, "spillway.json");
  const [first] = await yours();
  const some = first === undefined ? [] : ["--streams", first.name];
  const { code, out } = await runSpillway(["openapi", file, ...some, "--server", "https://ingest.example"]);
  expect([code, out]).toEqual([0, ""]);
  const document = JSON.parse(readFileSync(file, "utf8"));
  expect(tagsOf(document)).toEqual(first === undefined ? [] : [first.name]);
  expect(document.servers).toEqual([{ url: "https://ingest.example" }]);
});

test("an unknown stream and a file that can't be written are one sentence each", async () => {
  const unknown = await runSpillway(["openapi", "--streams", "no_such_stream_of_yours"]);
  expect([unknown.code, unknown.out]).toEqual([2, ""]);
  expect(unknown.err).toContain('there is no stream "no_such_stream_of_yours"');
  const unwritten = await runSpillway(["openapi", join(folder, "no such folder/x.json")]);
  expect([unwritten.code, unwritten.err]).toEqual([
    1,
    expect.stringMatching(/can't be written \(ENOENT\)\.\n$/),
  ]);
});
