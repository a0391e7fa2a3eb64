/**
 * Examples of a stream: events that a client may send. The declared examples come first, then examples that are derived from
 * the schema. Docs, OpenAPI, the curl line of `npm start` and the contract test take their examples from here.
 *
 * Each example has passed the stream's schema and the limits of its table's columns. The same `i` gives the same event in
 * every process.
 */
import { deriveExample } from "./derive-example.ts";
import { Gap } from "./example-gap.ts";
import type { InputError } from "./input-error.ts";
import { fieldsOf } from "./json-row.ts";
import type { Stream } from "./stream.ts";
import { nameOfThrown } from "./thrown.ts";

export type Example = Record<string, unknown>;

/**
 * Returns an example event of the stream; undefined: none is declared, and none can be derived. `i` chooses the example; 0 is
 * the one for people to read. A declared example that the stream does not accept is skipped.
 */
export function exampleOf(stream: Stream, i = 0): Example | undefined {
  const declared = stream.examples.filter((one): one is Example => errorsOfExample(stream, one).length === 0);
  if (i < declared.length) return declared[i];
  const derived = tryToDerive(stream, i - declared.length);
  return derived instanceof Gap ? declared[i % declared.length] : derived;
}

/** Says which part of the schema has no example, and how to mend that; undefined: the stream has examples. */
export function whyNoExample(stream: Stream): string | undefined {
  if (exampleOf(stream) !== undefined) return undefined;
  const gap = tryToDerive(stream, 0) as Gap;
  const where = gap.path === "" ? "the event itself" : gap.path;
  const declared = stream.examples.flatMap((example, index) =>
    errorsOfExample(stream, example).map(
      ({ path, message }) => `; the declared example ${index} is refused: ${path} ${message}`,
    ),
  );
  return `stream "${stream.name}" lacks examples: none can be derived for ${where} (${gap.type})${declared.join("")}. Declare at least one in defineStream: examples: [{ … }]`;
}

/** Says why the stream would not accept an event; an empty list: it would. */
export function errorsOfExample(stream: Stream, event: unknown): InputError[] {
  if (typeof event !== "object" || event === null || Array.isArray(event))
    return [{ path: "", message: "expected an object" }];
  const { id: _, ...data } = event as Example; // ingest also removes the id before it checks the schema
  try {
    const parsed = stream.parse(data);
    if (!parsed.success)
      return parsed.error.issues.map(({ path, message }) => ({ path: path.join("."), message }));
    const columnError = stream.checkRow(fieldsOf(stream, parsed.data, stream.v));
    return columnError ? [columnError] : [];
  } catch (error) {
    const name = nameOfThrown(error);
    return [{ path: "", message: `schema or toRow threw ${name}` }];
  }
}

/** Tries long texts and fractions first, then values that fit small columns. */
function tryToDerive(stream: Stream, i: number): Example | Gap {
  const rich = deriveOne(stream, i, false);
  if (!(rich instanceof Gap)) return rich;
  const small = deriveOne(stream, i, true);
  return small instanceof Gap ? rich : small;
}

function deriveOne(stream: Stream, i: number, isSmall: boolean): Example | Gap {
  const value = deriveExample(stream.schema, { i, isSmall });
  if (value instanceof Gap) return value;
  const event: unknown = JSON.parse(JSON.stringify(value)); // as a client sends it
  const [error] = errorsOfExample(stream, event);
  return error ? new Gap([error.path], error.message) : (event as Example);
}
