/** compose.yaml against the code that it starts: names, ports, commands and files. test/integration/compose.test.ts runs it. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { environmentNames, readConfig } from "../../lib/config.ts";
import { readCompose, type Service, variables } from "../compose-file.ts";

const project = fileURLToPath(new URL("../../", import.meta.url));
const read = (path: string) => readFileSync(join(project, path), "utf8");

const SECRETS = {
  POSTGRES_PASSWORD: "a".repeat(64),
  REDIS_PASSWORD: "b".repeat(64),
  OPERATOR_TOKEN: "c".repeat(64),
};
const { services, volumes } = readCompose(SECRETS);
const service = (name: string): Service => services[name] as Service;
const {
  spillway,
  migrate,
  console: page,
  valkey,
} = {
  ...{ spillway: service("spillway"), migrate: service("migrate") },
  ...{ console: service("console"), valkey: service("valkey") },
};

test("it has the servers, the migrations, both functions in one process, and the console", () => {
  expect(Object.keys(services)).toEqual(["postgres", "valkey", "migrate", "spillway", "console"]);
});

describe("secrets", () => {
  test("are no part of the file: each is a variable that has to be set, with a sentence if it is not", () => {
    const required = variables.filter(({ kind }) => kind === "?");
    expect([...new Set(required.map(({ name }) => name))].sort()).toEqual(Object.keys(SECRETS).sort());
    for (const { name, rest } of required)
      expect([name, rest]).toEqual([name, expect.stringMatching(/openssl rand -hex 32/)]);
    for (const name of Object.keys(SECRETS))
      expect(() => readCompose({ ...SECRETS, [name]: "" })).toThrow(`${name}: expected`);
  });

  test("beside those, a variable may be left out and is empty then", () => {
    const optional = variables.filter(({ kind }) => kind !== "?");
    expect(optional).toEqual([
      { name: "INGEST_API_KEYS", kind: "-", rest: "" },
      { name: "SPILLWAY_API_KEY", kind: "-", rest: "" },
    ]);
  });

  test("each variable is in .env.example", () => {
    for (const { name } of variables) expect(read(".env.example")).toMatch(new RegExp(`^#? ?${name}=`, "m"));
  });
});

describe("the environment", () => {
  test("of both functions is one that they read, and is usable", () => {
    const { PORT, ...settings } = spillway.environment ?? {};
    expect(PORT).toMatch(/^\d+$/);
    expect(Object.keys(settings).filter((name) => !environmentNames.includes(name))).toEqual([]);
    expect(readConfig(settings)).toMatchObject({
      redisUrl: `redis://:${SECRETS.REDIS_PASSWORD}@valkey:6379/0`,
      databaseUrl: `postgres://spillway:${SECRETS.POSTGRES_PASSWORD}@postgres:5432/spillway`,
      operatorToken: SECRETS.OPERATOR_TOKEN,
      supervisorHost: undefined,
    });
  });

  test("of the migrations has their database, which is Postgres's own", () => {
    expect(migrate.environment?.DATABASE_URL).toBe(spillway.environment?.DATABASE_URL);
    expect(service("postgres").environment).toEqual({
      ...{ POSTGRES_USER: "spillway", POSTGRES_DB: "spillway", POSTGRES_PASSWORD: SECRETS.POSTGRES_PASSWORD },
    });
  });

  test("of the console is what the commands read, and leads to both functions", () => {
    const commands = readdirSync(join(project, "dev/operate")).filter((file) => file.endsWith(".ts"));
    const known = commands.flatMap((file) =>
      [...read(`dev/operate/${file}`).matchAll(/environmentOf\("(\w+)"\)/g)].map(([, name]) => name),
    );
    const { environment = {} } = page;
    expect(Object.keys(environment).filter((name) => !known.includes(name))).toEqual([]);
    expect(environment).toMatchObject({
      SUPERVISOR_URL: `http://spillway:${spillway.environment?.SUPERVISOR_PORT}`,
      SPILLWAY_URL: `http://spillway:${spillway.environment?.PORT}`,
      OPERATOR_TOKEN: SECRETS.OPERATOR_TOKEN,
    });
  });
});

describe("ports", () => {
  test("of ingest alone are published beyond this machine", () => {
    const published = Object.entries(services).flatMap(([name, { ports = [] }]) =>
      ports.map((port) => `${name} ${port}`),
    );
    expect(published.filter((port) => !port.includes("127.0.0.1:"))).toEqual(["spillway 8080:8080"]);
  });

  test("are those on which each part listens", () => {
    const { PORT, SUPERVISOR_PORT } = spillway.environment ?? {};
    expect(spillway.ports).toEqual([`${PORT}:${PORT}`, `127.0.0.1:${SUPERVISOR_PORT}:${SUPERVISOR_PORT}`]);
    const [, port] = /^--port=(\d+)$/.exec(page.command?.at(-1) ?? "") ?? [];
    expect(page.ports).toEqual([`127.0.0.1:${port}:${port}`]); // the same inside: the page's Host has to name it
  });

  test("are asked by the health checks, and each part that stays has one", () => {
    for (const [name, { healthcheck, restart }] of Object.entries(services))
      expect([name, healthcheck !== undefined]).toEqual([name, restart === "unless-stopped"]);
    const check = (of: Service) => of.healthcheck?.test.join(" ");
    expect(check(spillway)).toContain(
      `[${spillway.environment?.PORT}, ${spillway.environment?.SUPERVISOR_PORT}]`,
    );
    expect(check(page)).toContain("127.0.0.1:8082/");
  });
});

describe("what is started", () => {
  test("is the image of this repository, and a file that it holds", () => {
    expect([spillway.build, spillway.image]).toEqual([migrate.build, migrate.image]);
    expect([spillway.build, spillway.command]).toEqual([".", ["--target=all"]]);
    const [program, file = "", ...rest] = [...(migrate.entrypoint ?? []), ...(migrate.command ?? [])];
    expect([program, rest]).toEqual(["node", []]);
    expect(existsSync(join(project, file.replace("/app/dist/", "").replace(/\.js$/, ".ts")))).toBe(true);
    expect(read("Dockerfile")).toContain("COPY --from=build /app/dist ./dist");
  });

  test("waits for what it needs", () => {
    expect(migrate.depends_on).toEqual({ postgres: { condition: "service_healthy" } });
    expect(spillway.depends_on).toEqual({
      migrate: { condition: "service_completed_successfully" },
      postgres: { condition: "service_healthy" },
      valkey: { condition: "service_healthy" },
    });
    expect(page.depends_on).toEqual({ spillway: { condition: "service_healthy" } });
  });

  test("has time to end: the functions take ten seconds at most", () => {
    expect(Number.parseInt(spillway.stop_grace_period ?? "", 10)).toBeGreaterThan(10);
  });

  test("of the console is an image of what the commands need, and its build gets each file", () => {
    const { context, dockerfile } = page.build as { context: string; dockerfile: string };
    expect(context).toBe(".");
    const wanted = [...read(dockerfile).matchAll(/^COPY (.+) \S+$/gm)].flatMap(([, files = ""]) =>
      files.split(" "),
    );
    expect(wanted.length).toBeGreaterThan(6);
    const ignored = read(`${dockerfile}.dockerignore`);
    for (const file of wanted) {
      expect([file, existsSync(join(project, file))]).toEqual([file, true]);
      const place = file.startsWith("packages/console") ? "packages/console" : file;
      expect(ignored).toMatch(new RegExp(`^!${place.replaceAll(".", "\\.")}$`, "m"));
    }
  });
});

describe("data", () => {
  test("are in volumes of their own, where each image has them", () => {
    // From 18 on the image of Postgres has its data one folder deeper, by version.
    expect([service("postgres").image, service("postgres").volumes]).toEqual([
      "postgres:18",
      ["postgres:/var/lib/postgresql"],
    ]);
    expect(valkey.volumes).toEqual(["valkey:/data"]);
    expect(Object.keys(volumes)).toEqual(["postgres", "valkey"]);
  });

  test("of the buffer are on the disk before a push is answered, and nothing of it is evicted", () => {
    expect(valkey.command?.join(" ")).toBe(
      `valkey-server --appendonly yes --appendfsync always --save  --maxmemory 1gb --maxmemory-policy noeviction --requirepass ${SECRETS.REDIS_PASSWORD}`,
    );
  });
});
