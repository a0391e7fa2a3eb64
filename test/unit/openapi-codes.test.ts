/** Every problem is an answer of an operation in the OpenAPI document, unless only the supervisor or a request for nothing hears it. */
import { expect, test } from "vitest";
import { problems } from "../../lib/contract/problems.ts";
import { operationProblems } from "../../lib/openapi/operations.ts";

const ELSEWHERE = [
  // The supervisor's.
  ...["caller-not-allowed", "unknown-letter", "unknown-row", "unknown-name", "name-taken", "too-many-keys"],
  // Of a path or a method that the document does not have.
  ...["unknown-path", "method-not-allowed"],
];

test("each code is documented", () => {
  const documented = Object.values(operationProblems).flat() as string[];
  const missing = Object.keys(problems).filter((code) => !documented.includes(code));
  expect(missing.sort()).toEqual(ELSEWHERE.filter((code) => code in problems).sort());
});

test("no operation names a code twice", () => {
  for (const codes of Object.values(operationProblems)) expect(codes).toHaveLength(new Set(codes).size);
});
