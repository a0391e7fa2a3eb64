import { expect, test } from "vitest";
import { findProject, traceOf } from "../../lib/cloud-run/trace.ts";

const TRACE = "4bf92f3577b34da6a3ce929d0e0e4736";

test.each([
  ["traceparent", { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` }],
  ["x-cloud-trace-context", { "x-cloud-trace-context": `${TRACE}/1;o=1` }],
])("a request's %s becomes the field that Cloud Logging groups by", (_name, headers) => {
  expect(traceOf("p", headers)).toEqual({ "logging.googleapis.com/trace": `projects/p/traces/${TRACE}` });
});

test("without a project, a trace, or a trace that looks like one there is no field", () => {
  expect(traceOf(undefined, { traceparent: `00-${TRACE}-00f067aa0ba902b7-01` })).toEqual({});
  expect(traceOf("p", {})).toEqual({});
  expect(traceOf("p", { traceparent: "nonsense" })).toEqual({});
});

test("where no metadata server answers there is no project", async () => {
  expect(await findProject("http://127.0.0.1:1/")).toBeUndefined();
});
