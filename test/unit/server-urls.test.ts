/** DATABASE_URL and REDIS_URL: which way they lead, what is refused with a sentence, and what the client gets. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { readConfig } from "../../lib/config.ts";
import { addressOf, isOverHttp, placeOfPostgres, problemOfPostgresUrl } from "../../lib/postgres-url.ts";
import { placeOfRedis, problemOfRedisUrl } from "../../lib/redis-url.ts";

test.each([
  ["postgres://u:p@ep-cool-sun-1.eu-central-1.aws.neon.tech/db?sslmode=require", undefined, true],
  ["postgres://u:p@EP-1.c-2.us-east-1.aws.neon.tech:5432/db", undefined, true],
  ["postgres://u:p@127.0.0.1/db", "http://127.0.0.1:4444/sql", true],
  ["postgres://u:p@127.0.0.1/db", undefined, false],
  ["postgres://u:p@neon.tech.example.org/db", undefined, false],
  ["postgres://u:p@/db?host=/cloudsql/project:region:instance", undefined, false],
])("%s with %s goes over HTTP: %s", (url, neonHttpUrl, isHttp) => {
  expect(isOverHttp(url, neonHttpUrl)).toBe(isHttp);
});

test.each([
  [
    "postgres://u:p@db.example.org/app",
    { host: "db.example.org", user: "u", password: "p", database: "app" },
  ],
  ["postgresql://u:p%40s%2Fs%3A%25@h:6543/db", { port: 6543, password: "p@s/s:%" }],
  ["postgres://u@[::1]:5433/db", { host: "::1", port: 5433 }],
  ["postgres://u:p@/db?host=/cloudsql/pro:reg:inst", { host: "/cloudsql/pro:reg:inst", database: "db" }],
  ["postgresql://%2Fvar%2Frun%2Fpostgresql/db", { host: "/var/run/postgresql", database: "db" }],
  ["postgres://u@h/db", { ssl: false, enableChannelBinding: false }],
  ["postgres://u@h/db?sslmode=disable", { ssl: false }],
  ["postgres://u@h/db?sslmode=require", { ssl: { rejectUnauthorized: false } }],
  ["postgres://u@h/db?sslmode=verify-full", { ssl: {} }],
  ["postgres://u@h/db?sslmode=verify-full&channel_binding=require", { enableChannelBinding: true }],
  ["postgres://u@h/db?application_name=shop", { others: { application_name: "shop" } }],
  ["postgres://u@h/db?max=500&statement_timeout=1", { others: {} }],
])("%s is read as %j", (url, expected) => {
  expect(problemOfPostgresUrl(url)).toBeUndefined();
  expect(addressOf(url)).toMatchObject(expected);
});

test("verify-ca checks the chain by the given file, and not the host's name", () => {
  const folder = mkdtempSync(join(tmpdir(), "spillway-ca-"));
  const file = join(folder, "ca.pem");
  writeFileSync(file, "a certificate");
  const { ssl } = addressOf(`postgres://u@h/db?sslmode=verify-ca&sslrootcert=${file}`);
  expect(ssl).toMatchObject({ ca: "a certificate", checkServerIdentity: expect.any(Function) });
  expect(ssl).not.toHaveProperty("rejectUnauthorized");
  rmSync(folder, { recursive: true });
});

test.each([
  ["mysql://u@h/db", "postgres://"],
  ["nonsense", "postgres://"],
  ["postgres:///db", "a host"],
  ["postgres://u:p@/db", "a host"],
  ["postgres://u@h/db?sslmode=prefer", "disable, require, verify-ca, verify-full"],
  ["postgres://u@h/db?sslmode=", "disable, require, verify-ca, verify-full"],
  ["postgres://u@h/db?sslmode=verify-ca", "sslrootcert"],
  ["postgres://u@h/db?sslmode=verify-full&sslrootcert=/no/such/file", "files that exist"],
  ["postgres://u@h/db?sslmode=require&uselibpqcompat=true", "no uselibpqcompat"],
  ["postgres://u@h:port/db", "percent-encoded"],
  ["postgres://u:12#3@h/db", "percent-encoded"],
  ["postgres://u:12/3@h/db", "percent-encoded"],
  ["postgres://u@h/db?sslmode=require&sslmode=disable", "sslmode once"],
  ["postgres://u@h/db?sslmode=require&sslmode=prefer", "sslmode once"],
  ["postgres://u@h/db?ssl%6dode=prefer", "disable, require, verify-ca, verify-full"],
  ["postgres://u@h/db?port=https", "a port"],
  ["postgres://u@h:0/db", "a port"],
])("%s is refused with a sentence", (url, words) => {
  expect(problemOfPostgresUrl(url)).toContain(words);
});

test.each([
  ["redis://127.0.0.1", undefined],
  ["redis://:p%40ss@cache.example.org:6380/3", undefined],
  ["rediss://user:pass@cache.example.org", undefined],
  ["redis://[::1]:6379/0", undefined],
  ["http://127.0.0.1", "redis://"],
  ["unix:/run/redis.sock", "redis://"],
  ["redis:///0", "redis://"],
  ["redis://host/db", "a number"],
  ["redis://host?password=x", "redis://"],
  ["redis://:50%@host", "percent-encoded"],
])("REDIS_URL %s: %s", (url, words) => {
  const problem = problemOfRedisUrl(url);
  if (words === undefined) expect(problem).toBeUndefined();
  else expect(problem).toContain(words);
});

test("people are told where a server is, and never who logs in", () => {
  expect(placeOfPostgres("postgres://user:secret@db.example.org:5433/app")).toBe("db.example.org:5433/app");
  expect(placeOfPostgres("postgres://user:secret@[::1]/app")).toBe("[::1]/app");
  expect(placeOfPostgres("postgres://user:secret@/app?host=/cloudsql/a:b:c")).toBe("/cloudsql/a:b:c/app");
  expect(placeOfRedis("rediss://user:secret@cache.example.org:6380/3")).toBe("cache.example.org:6380/3");
});

test("there is one Redis: by REDIS_URL, or by the two of Upstash", () => {
  const DATABASE_URL = "postgres://u:p@127.0.0.1/db";
  const rest = { UPSTASH_REDIS_REST_URL: "https://x.upstash.io", UPSTASH_REDIS_REST_TOKEN: "token" };
  const REDIS_URL = "redis://127.0.0.1";
  expect(readConfig({ DATABASE_URL, REDIS_URL })).toMatchObject({ redisUrl: REDIS_URL, restUrl: undefined });
  expect(readConfig({ DATABASE_URL, ...rest })).toMatchObject({ redisUrl: undefined });
  expect(() => readConfig({ DATABASE_URL, REDIS_URL, ...rest })).toThrow(/REST_URL: expected it unset/);
  expect(() => readConfig({ DATABASE_URL })).toThrow(/UPSTASH_REDIS_REST_TOKEN: .* or REDIS_URL/);
});
