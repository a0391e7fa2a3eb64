/**
 * A client whose types are generated from the served document: each example of each stream compiles against them, is posted, and the
 * answer is of the type that they promise. What the types should refuse does not compile.
 */
import { execFile, execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { drain } from "../../lib/drain/drain.ts";
import { type Example, exampleOf } from "../../lib/schema/example.ts";
import { project } from "./project-copy.ts";
import { type Ingest, serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, type World } from "./test-stack.ts";

/** Examples of each stream: each value at both of its bounds. */
const EXAMPLES = 12;

let world: World;
let ingest: Ingest;
let folder: string;
beforeAll(async () => {
  world = await openWorld();
  await world.reset();
  ingest = await serveIngest(world);
  folder = realpathSync(mkdtempSync(join(tmpdir(), "spillway-client-")));
  writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
  symlinkSync(join(project, "node_modules"), join(folder, "node_modules"));
  const { body } = await ingest.send("/v1/openapi.json", { headers: { authorization: `Bearer ${KEY}` } });
  writeFileSync(join(folder, "openapi.json"), JSON.stringify(body));
  // Its bin, as `npm ci` has installed it, with the TypeScript that it needs.
  const generator = join(project, "test/openapi/node_modules/openapi-typescript/bin/cli.js");
  execFileSync(process.execPath, [generator, "openapi.json", "-o", "api.d.ts"], {
    cwd: folder,
    stdio: "pipe",
  });
});
afterAll(async () => {
  rmSync(folder, { recursive: true, force: true });
  await ingest.close();
  await world.close();
});

/** A client as somebody may write it on top of the types. */
const CLIENT = `import type { paths } from "./api.d.ts";

type Sending = { [Path in keyof paths]: paths[Path] extends { post: { requestBody: { content: { "application/json": unknown } } } } ? Path : never }[keyof paths];
type Post<Path extends keyof paths> = Extract<paths[Path]["post"], object>;
export type Event<Path extends Sending> = Post<Path> extends { requestBody: { content: { "application/json": infer Body } } } ? Body : never;
type Responses<Path extends Sending> = Post<Path> extends { responses: infer All } ? All : never;
type Body<Response> = Response extends { content: infer Content } ? Content[keyof Content] : never;
export type Answer<Path extends Sending> = { [Status in keyof Responses<Path>]: { status: Status; body: Body<Responses<Path>[Status]> } }[keyof Responses<Path>];

export async function send<Path extends Sending>(url: string, key: string, path: Path, event: Event<Path>): Promise<Answer<Path>> {
  const response = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: "Bearer " + key },
    body: JSON.stringify(event),
  });
  return { status: response.status, body: await response.json() } as Answer<Path>;
}
`;

/** Compiles the files of the folder; returns what the compiler says. */
function compile(): string {
  const options = {
    strict: true,
    noEmit: true,
    module: "nodenext",
    target: "es2023",
    lib: ["es2023", "dom"],
    types: [],
  };
  const compilerOptions = { ...options, allowImportingTsExtensions: true };
  writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["*.ts"] }));
  const tsc = join(project, "node_modules/typescript/bin/tsc");
  return spawnSync(process.execPath, [tsc], { cwd: folder, encoding: "utf8" }).stdout;
}

/** Runs the client. The server that it asks is in this process, so it must not wait here. */
const runMain = async (): Promise<string> => {
  const args = ["--import", "tsx", "main.ts", ingest.url, KEY];
  return (await promisify(execFile)(process.execPath, args, { cwd: folder })).stdout;
};

const examples = () =>
  [...world.streams.values()].flatMap((stream) =>
    Array.from({ length: EXAMPLES }, (_, i) => exampleOf(stream, i))
      .filter((one): one is Example => one !== undefined)
      .map((example) => ({ stream, example })),
  );

test("every example compiles against the generated types, is posted, and its answer has the promised type", async () => {
  const calls = examples().map(
    ({ stream, example }) =>
      `answers.push(told(await send(url, key, "/v1/${stream.name}", ${JSON.stringify(example)})));`,
  );
  const main = `import { type Answer, send } from "./client.ts";
const [, , url = "", key = ""] = process.argv;
declare const process: { argv: string[]; stdout: { write(text: string): void } };
const answers: { status: number; ids: string[]; ack: "buffered" | "stored" }[] = [];
/** Reads what an answer holds, as its status says: with other types it would not compile. */
function told(answer: Answer<"/v1/locations">): (typeof answers)[number] {
  if (answer.status === 202 || answer.status === 201) {
    const { accepted, ids, ack, rejected } = answer.body;
    if (accepted !== ids.length || rejected?.[0]?.errors[0]?.message !== undefined) throw new Error("rejected");
    return { status: answer.status, ids, ack };
  }
  if (answer.status === 422) {
    const code: "invalid-event" | "refused-by-database" = answer.body.code;
    throw new Error(code + JSON.stringify(answer.body.errors));
  }
  throw new Error(answer.body.code);
}
${calls.join("\n")}
process.stdout.write(JSON.stringify(answers));
export {};
`;
  writeFileSync(join(folder, "client.ts"), CLIENT);
  writeFileSync(join(folder, "main.ts"), main);
  expect(compile()).toBe("");
  const answers = JSON.parse(await runMain()) as { status: number; ids: string[]; ack: string }[];
  const sent = examples();
  expect(answers.map(({ status, ack }) => [status, ack])).toEqual(
    sent.map(({ stream }) => (stream.ack === "stored" ? [201, "stored"] : [202, "buffered"])),
  );
  const logs = [...world.streams.values()].filter(({ key, existing }) => key.isId && !existing);
  for (const { name } of logs) {
    const ids = answers.flatMap((answer, i) => (sent[i]?.stream.name === name ? answer.ids : []));
    await expectConserved(world, name, ids);
    await drain(world.supervisor(), { stream: name });
    await expectConserved(world, name, ids);
  }
});

test.each([
  ["an unknown field", `{ userId: "u", lat: 1, lng: 2, recordedAt: "2026-11-21T09:30:00Z", heading: 1 }`],
  ["a missing field", `{ userId: "u", lat: 1, lng: 2 }`],
  ["a field of another type", `{ userId: "u", lat: "1", lng: 2, recordedAt: "2026-11-21T09:30:00Z" }`],
])("%s does not compile", (_, event) => {
  writeFileSync(join(folder, "client.ts"), CLIENT);
  writeFileSync(
    join(folder, "main.ts"),
    `import { send } from "./client.ts";\nvoid send("", "", "/v1/locations", ${event});\n`,
  );
  expect(compile()).toMatch(/main\.ts\(2,/);
});
