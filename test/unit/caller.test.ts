/** Who may operate, by the tokens that a request shows: written as Cloud Run hands them on, and as somebody would forge them. */
import { describe, expect, test } from "vitest";
import { callerOf, mayOperate } from "../../lib/cloud-run/caller.ts";

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const bearer = (claims: unknown, signature = "SIGNATURE_REMOVED_BY_GOOGLE") =>
  `Bearer ${encode({ alg: "RS256", kid: "k", typ: "JWT" })}.${encode(claims)}.${signature}`;

const SCHEDULER = "scheduler@p.iam.gserviceaccount.com";
const of = (email: string, more: object = {}) => bearer({ email, email_verified: true, ...more });
const operator = of("operator@p.iam.gserviceaccount.com");
const scheduler = of(SCHEDULER);

const may = (headersDistinct: Record<string, string[]>) =>
  mayOperate({ headersDistinct }, new Set([SCHEDULER, "tasks@p.iam.gserviceaccount.com"]));

describe("may operate", () => {
  test.each([
    ["an operator", { authorization: [operator] }],
    [
      "an operator whose token Cloud Run took from its own header",
      { "x-serverless-authorization": [operator] },
    ],
    ["an operator who shows both", { authorization: [operator], "x-serverless-authorization": [operator] }],
    ["a person", { authorization: [of("Ann@Example.com")] }],
    ["bearer in small letters", { authorization: [operator.replace("Bearer", "bearer")] }],
  ])("%s", (_, headers) => expect(may(headers)).toBe(true));
});

describe("may only drain", () => {
  test.each([
    ["the scheduler", { authorization: [scheduler] }],
    ["the queue", { authorization: [of("tasks@p.iam.gserviceaccount.com")] }],
    ["the scheduler in capitals", { authorization: [of(SCHEDULER.toUpperCase())] }],
    ["the scheduler in the other header", { "x-serverless-authorization": [scheduler] }],
    [
      "the scheduler, verified, with an operator's payload of its own making beside it",
      { "x-serverless-authorization": [scheduler], authorization: [operator] },
    ],
    [
      "the same with the headers exchanged",
      { authorization: [scheduler], "x-serverless-authorization": [operator] },
    ],
    ["two Authorization headers", { authorization: [operator, scheduler] }],
    ["two in one header", { authorization: [`${operator}, ${scheduler}`] }],
    ["nobody", {}],
    ["an empty header", { authorization: [""] }],
    ["no e-mail", { authorization: [bearer({ sub: "1", email_verified: true })] }],
    ["an empty e-mail", { authorization: [of("")] }],
    ["an e-mail that is a list", { authorization: [bearer({ email: ["a@b.c"], email_verified: true })] }],
    [
      "an e-mail that is not verified",
      { authorization: [bearer({ email: "a@b.c", email_verified: false })] },
    ],
    ["an e-mail of which nothing is said", { authorization: [bearer({ email: "a@b.c" })] }],
    ["verified in a text", { authorization: [bearer({ email: "a@b.c", email_verified: "true" })] }],
    ["claims that are null", { authorization: [bearer(null)] }],
    ["claims that are not JSON", { authorization: [`Bearer a.${Buffer.from("{").toString("base64url")}.c`] }],
    ["two parts", { authorization: [operator.split(".").slice(0, 2).join(".")] }],
    ["four parts", { authorization: [`${operator}.x`] }],
    ["basic", { authorization: ["Basic YTpi"] }],
    [
      "a readable token and an unreadable one",
      { authorization: [operator], "x-serverless-authorization": ["x"] },
    ],
  ])("%s", (_, headers) => expect(may(headers)).toBe(false));
});

describe("the caller is", () => {
  test.each([
    ["an operator", { authorization: [operator] }, "operator@p.iam.gserviceaccount.com"],
    ["a person, in small letters", { authorization: [of("Ann@Example.com")] }, "ann@example.com"],
    [
      "one who shows both headers",
      { authorization: [operator], "x-serverless-authorization": [operator] },
      "operator@p.iam.gserviceaccount.com",
    ],
    [
      "unknown: two people",
      { authorization: [operator], "x-serverless-authorization": [scheduler] },
      undefined,
    ],
    [
      "unknown: one of two tokens can't be read",
      { authorization: [operator], "x-serverless-authorization": ["Bearer x"] },
      undefined,
    ],
    ["unknown: an e-mail that is not verified", { authorization: [bearer({ email: "a@b.c" })] }, undefined],
    ["unknown: nobody", {}, undefined],
  ])("%s", (_, headersDistinct: Record<string, string[]>, email) =>
    expect(callerOf({ headersDistinct })).toBe(email),
  );
});
