/** Every problem is an answer of an operation in one of the OpenAPI documents, unless only a request for nothing hears it. */
import { expect, test } from "vitest";
import { problems } from "../../lib/contract/problems.ts";
import { operationProblems } from "../../lib/openapi/operations.ts";
import { supervisorOperations } from "../../lib/openapi/supervisor-operations.ts";

/** Of a path or a method that the documents do not have. */
const ELSEWHERE = ["unknown-path", "method-not-allowed"];

const ofIngest: readonly (readonly string[])[] = Object.values(operationProblems);
const ofSupervisor = supervisorOperations.map((operation): readonly string[] => operation.problems);

test("each code is documented", () => {
  const documented = [...ofIngest, ...ofSupervisor].flat();
  const missing = Object.keys(problems).filter((code) => !documented.includes(code));
  expect(missing.sort()).toEqual(ELSEWHERE.filter((code) => code in problems).sort());
});

test("no operation names a code twice", () => {
  for (const codes of [...ofIngest, ...ofSupervisor]) expect(codes).toHaveLength(new Set(codes).size);
});
