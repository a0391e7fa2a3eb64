/**
 * `--prod` against a supervisor that checks tokens as Cloud Run does, with programs named terraform and gcloud in PATH that answer
 * as the real ones do: no secret is in the environment.
 */
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { identityTokens } from "../../dev/operate/deployed.ts";
import { createSupervisor } from "../../functions/supervisor.ts";
import { operatorTokenCheck } from "../../lib/access/operator-token.ts";
import { runSpillway } from "./run-spillway.ts";
import { serveIngest } from "./test-ingest.ts";
import { expectConserved, KEY, openWorld, pushEvents, type World } from "./test-stack.ts";

const OPERATOR = "spillway-operator@my-project.iam.gserviceaccount.com";
const folder = mkdtempSync(join(tmpdir(), "spillway prod "));
const calls = join(folder, "calls");

let world: World;
let supervisor: Awaited<ReturnType<World["serve"]>>;
/** What the supervisor's front end takes; anything else is 401. */
let validToken = "token-1";
let refused: string[] = [];
beforeAll(async () => {
  world = await openWorld();
  const handler = createSupervisor(world.supervisor());
  supervisor = await world.serve(async (req, res) => {
    const { authorization = "" } = req.headers;
    if (authorization === `Bearer ${validToken}`) return handler(req, res);
    refused.push(authorization);
    req.resume();
    res.writeHead(401, { "content-type": "text/html" }).end("<html>401</html>");
  });
});
beforeEach(async () => {
  await world.reset();
  validToken = "token-1";
  refused = [];
  rmSync(join(folder, "bin"), { recursive: true, force: true });
  mkdirSync(join(folder, "bin"));
  writeFileSync(calls, "");
});
afterAll(async () => {
  await supervisor.close();
  await world.close();
  rmSync(folder, { recursive: true });
});

/** Makes a program that notes its arguments and then runs this shell script. */
function program(name: string, script: string): void {
  const file = join(folder, "bin", name);
  writeFileSync(file, `#!/bin/sh\necho "${name} $*" >> '${calls}'\n${script}\n`);
  chmodSync(file, 0o755);
}

const outputs = (more: object = {}) => ({
  ingest_url: { sensitive: false, type: "string", value: "https://ingest.example" },
  supervisor_url: { sensitive: false, type: "string", value: supervisor.url },
  operator_service_account: { sensitive: false, type: "string", value: OPERATOR },
  ...more,
});
const terraform = (what: object = outputs()) =>
  program("terraform", `/bin/cat <<'END'\n${JSON.stringify(what)}\nEND`);
/** Gives token-1, then token-2, … */
const gcloud = () => program("gcloud", `echo "token-$(/bin/grep -c '^gcloud' '${calls}')"`);

const run = (args: string[], env: Record<string, string> = {}) =>
  runSpillway(args, {
    env: {
      PATH: join(folder, "bin"), // whatever this machine has is not meant
      // Another system is meant here; none of it may be used.
      SUPERVISOR_URL: "http://127.0.0.1:9",
      SUPERVISOR_ID_TOKEN: "another",
      ...env,
    },
  });
const called = () => readFileSync(calls, "utf8").trimEnd().split("\n");

test("asks terraform where the supervisor is, and shows it a token of the operators' account", async () => {
  terraform();
  gcloud();
  const ids = await pushEvents(world, { stream: "events", index: 0 }, [{ type: "t", payload: {} }]);
  expect(await run(["status", "--prod"])).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^events +1 /m),
    err: "",
  });
  const [first = "", second = ""] = called();
  expect(first).toMatch(/^terraform -chdir=\/.*\/terraform output -json -no-color$/);
  expect(second).toBe(
    `gcloud auth print-identity-token --audiences=${supervisor.url} --include-email --impersonate-service-account=${OPERATOR}`,
  );
  validToken = "token-2";
  expect(await run(["drain", "--prod"])).toMatchObject({ code: 0 });
  validToken = "token-3";
  expect(await run(["dead-letters", "list", "--prod"])).toMatchObject({
    code: 0,
    out: expect.stringContaining("No live"),
  });
  await expectConserved(world, "events", ids);
});

test("a token that is refused is replaced once, in one command", async () => {
  terraform();
  gcloud();
  validToken = "token-2";
  expect(await run(["status", "--prod"])).toMatchObject({ code: 0 });
  expect(refused).toEqual(["Bearer token-1"]);
  validToken = "never";
  expect(await run(["status", "--prod"])).toMatchObject({
    code: 1,
    err: expect.stringContaining("answered 401"),
  });
  expect(called().filter((line) => line.startsWith("gcloud"))).toHaveLength(4);
});

test("a token is taken anew after 50 minutes, and not before", async () => {
  let nowMs = 0;
  let printed = 0;
  const tokenOf = identityTokens(
    async () => `token-${++printed}`,
    () => nowMs,
  );
  const minutes = (count: number) => {
    nowMs = count * 60_000;
  };
  expect(await tokenOf(false)).toBe("token-1");
  minutes(49.9);
  expect(await tokenOf(false)).toBe("token-1");
  minutes(50);
  expect(await tokenOf(false)).toBe("token-2");
  minutes(99);
  expect(await tokenOf(false)).toBe("token-2");
  expect(await tokenOf(true)).toBe("token-3");
  expect(await tokenOf(false)).toBe("token-3");
});

test("send takes the URL from terraform and the key from the environment, and asks gcloud nothing", async () => {
  const ingest = await serveIngest(world);
  terraform(outputs({ ingest_url: { value: ingest.url } }));
  const withoutKey = await run(["send", "events", "--prod"], { SPILLWAY_API_KEY: "" });
  expect(withoutKey).toMatchObject({
    code: 1,
    err: expect.stringContaining("expected an API key in SPILLWAY_API_KEY"),
  });
  const sent = await runSpillway(["send", "events", "--prod"], {
    env: { PATH: join(folder, "bin"), SPILLWAY_API_KEY: KEY },
    input: '{"type":"t","payload":{}}',
  });
  await ingest.close();
  expect(sent).toMatchObject({ code: 0, out: "1 event accepted, 0 rejected.\n" });
  expect(called().every((line) => line.startsWith("terraform"))).toBe(true);
});

describe("a system of one's own, outside Cloud Run,", () => {
  const TOKEN = "of-my-own-0123456789abcdef0123456789abcdef";
  const isKnown = operatorTokenCheck(TOKEN);
  let own: Awaited<ReturnType<World["serve"]>>;
  beforeAll(async () => {
    const deps = world.supervisor({ isKnown: ({ headers }) => isKnown(headers.authorization) });
    own = await world.serve(createSupervisor(deps));
  });
  afterAll(() => own.close());

  test("is asked at SUPERVISOR_URL with its OPERATOR_TOKEN, with --prod and without, and no program is run", async () => {
    const env = { SUPERVISOR_URL: own.url, OPERATOR_TOKEN: TOKEN };
    const ids = await pushEvents(world, { stream: "events", index: 0 }, [{ type: "t", payload: {} }]);
    const commands = [["status"], ["drain"], ["dead-letters", "list"], ["keys", "list"], ["usage"]];
    for (const args of commands)
      for (const prod of [[], ["--prod"]])
        expect([args, await run([...args, ...prod], env)]).toMatchObject([args, { code: 0 }]);
    expect((await run(["doctor", "--prod", "--json"], env)).out).toContain('"checks"');
    expect(called()).toEqual([""]);
    await expectConserved(world, "events", ids);
  });

  test("says that the token is not right", async () => {
    for (const prod of [[], ["--prod"]])
      expect(
        await run(["status", ...prod], { SUPERVISOR_URL: own.url, OPERATOR_TOKEN: `${TOKEN}x` }),
      ).toMatchObject({
        code: 1,
        err: expect.stringContaining("The supervisor answered 401: expected the operator token"),
      });
  });

  test("is sent events at SPILLWAY_URL", async () => {
    const ingest = await serveIngest(world);
    const env = { SUPERVISOR_URL: own.url, OPERATOR_TOKEN: TOKEN, SPILLWAY_API_KEY: KEY };
    const send = (more: Record<string, string>) =>
      runSpillway(["send", "events", "--prod"], {
        env: { PATH: join(folder, "bin"), ...env, ...more },
        input: '{"type":"t","payload":{}}',
      });
    expect(await send({ SPILLWAY_URL: "" })).toMatchObject({
      code: 1,
      err: expect.stringContaining("expected ingest's URL in SPILLWAY_URL"),
    });
    expect(await send({ SPILLWAY_URL: ingest.url })).toMatchObject({ code: 0 });
    await ingest.close();
  });
});

describe("a sentence says what is missing:", () => {
  const LOGIN =
    /gcloud gives no identity token \(log in with gcloud auth login, as one of Terraform's operators\): /;
  const cases: [string, () => void, RegExp][] = [
    ["terraform", gcloud, /terraform is not installed, or not in PATH/],
    ["gcloud", terraform, /gcloud is not installed, or not in PATH/],
    ["outputs", () => terraform({}), /terraform\/ has no output supervisor_url: apply it first/],
    [
      "an output of an older release",
      () => terraform({ supervisor_url: { value: "https://x.example" } }),
      /has no output operator_service_account: apply it first/,
    ],
    [
      "terraform's state",
      () =>
        program(
          "terraform",
          "printf '\\n╷\\n│ Error: Backend initialization required, please run \"terraform init\"\\n' >&2; exit 1",
        ),
      /terraform\/ tells no outputs: Error: Backend initialization required/,
    ],
    ["JSON", () => program("terraform", "echo hello"), /terraform\/ tells no outputs: it printed no JSON/],
    [
      "the right to run it",
      () => {
        program("terraform", "");
        chmodSync(join(folder, "bin", "terraform"), 0o644);
      },
      /terraform can't be run \(EACCES\)/,
    ],
    [
      "an object",
      () => program("terraform", "echo null"),
      /terraform\/ tells no outputs: it printed no JSON object/,
    ],
    [
      "a token alone",
      () => {
        terraform();
        program("gcloud", "echo 'Updates are available.'; echo token-1");
      },
      /gcloud gives no identity token .*: it printed something else/,
    ],
    [
      "a login",
      () => {
        terraform();
        program(
          "gcloud",
          "echo 'ERROR: (gcloud.auth.print-identity-token) You do not currently have an active account selected.' >&2; exit 1",
        );
      },
      new RegExp(`${LOGIN.source}ERROR: .*active account`),
    ],
    [
      "the right to impersonate",
      () => {
        terraform();
        program(
          "gcloud",
          "echo 'WARNING: This command is using service account impersonation.' >&2; echo 'ERROR: PERMISSION_DENIED: iam.serviceAccounts.getAccessToken' >&2; exit 1",
        );
      },
      new RegExp(`${LOGIN.source}ERROR: PERMISSION_DENIED`),
    ],
    [
      "a token",
      () => {
        terraform();
        program("gcloud", "exit 0");
      },
      /gcloud gives no identity token/,
    ],
  ];
  test.each(cases)("%s", async (_, prepare, says) => {
    prepare();
    const { code, out, err } = await run(["status", "--prod"]);
    expect([code, out, err]).toEqual([1, "", expect.stringMatching(says)]);
    expect(err.trimEnd().split("\n")).toHaveLength(1);
  });
});
