/** Where a stream's fields come from in a CloudEvent, whatever its mapping does. */
import { describe, expect, test } from "vitest";
import { binaryCloudEvent, cloudEventRawId, structuredCloudEvent } from "../../lib/ingest/cloud-event.ts";
import { type CloudEvent, pathsInCloudEvent } from "../../lib/schema/cloud-event.ts";
import type { Stream } from "../../lib/schema/stream.ts";
import events from "../streams/events.ts";

// biome-ignore lint/suspicious/noExplicitAny: a mapping takes what data it likes
type Any = any;

describe("a path of an event is one of its CloudEvent", () => {
  test.each<[string, (event: CloudEvent) => unknown, [path: string, asSent: string][]]>([
    [
      "the data",
      ({ data }) => data,
      [
        ["", "data"],
        ["lat", "data.lat"],
        ["a.0.b", "data.a.0.b"],
      ],
    ],
    [
      "renamed",
      ({ subject, time, data }) => ({ userId: subject, at: { time }, payload: data ?? null }),
      [
        ["userId", "subject"],
        ["at.time", "time"],
        ["payload", "data"],
        ["payload.x.0", "data.x.0"],
        ["", ""],
        ["other", "other"],
      ],
    ],
    [
      "the data and more",
      ({ subject, data }) => ({ ...(data as object), userId: subject }),
      [
        ["lat", "data.lat"],
        ["userId", "subject"],
        ["", "data"],
      ],
    ],
    [
      "parts of the data",
      ({ data }: Any) => ({ lat: data.position.lat, list: [data.a, { b: data.b }] }),
      [
        ["lat", "data.position.lat"],
        ["list.0", "data.a"],
        ["list.1.b.c", "data.b.c"],
        ["list", "list"],
      ],
    ],
    [
      "parsed attributes",
      ({ time, source, data }) => ({
        at: new Date(time ?? 0).toISOString(),
        from: new URL(source).href,
        data,
      }),
      [
        ["at", "time"],
        ["from", "source"],
        ["data.x", "data.x"],
      ],
    ],
    ["computed", ({ type }) => ({ kind: type.split(".").at(-1) }), [["kind", "kind"]]],
    ["data that it iterates", ({ data }: Any) => ({ all: [...data] }), [["all.0", "all.0"]]],
    ["data that it counts with", ({ data }: Any) => ({ n: data.n + 1 }), [["n", "n"]]],
    [
      "a list that it walks",
      ({ data }: Any) => {
        let at = data;
        while (at.next) at = at.next;
        return at;
      },
      [],
    ],
    [
      "an event that can't be read to its end",
      ({ type }) => ({
        type,
        get other() {
          throw new Error("no");
        },
        kind: type,
      }),
      [["type", "type"]],
    ],
    ["no object", () => null, [["", ""]]],
    [
      "an error",
      () => {
        throw new Error("no");
      },
      [
        ["a.b", "a.b"],
        ["", ""],
      ],
    ],
  ])("%s", (_, fromCloudEvent, paths) => {
    const pathAsSent = pathsInCloudEvent(fromCloudEvent);
    expect(paths.map(([path]) => [path, pathAsSent(path)])).toEqual(paths);
  });
});

describe("a CloudEvent becomes a raw event", () => {
  const event = { specversion: "1.0", id: "1", source: "/s", type: "t" };

  test("a mapping that throws rejects its event, not the request", () => {
    const fromCloudEvent = ({ data }: Any) => ({ type: data.kind.toUpperCase() });
    const stream: Stream = { ...events, fromCloudEvent, pathInCloudEvent: (path) => path };
    expect(structuredCloudEvent(stream, { ...event, data: {} }, false).error).toEqual({
      path: "data",
      message: "the stream's own code fails on this event (TypeError)",
    });
  });

  test("a mapping sees no extension and no key of a prototype", () => {
    const seen: [string, unknown][][] = [];
    const stream: Stream = {
      ...events,
      fromCloudEvent: (one) => seen.push(Object.entries(one).filter(([, value]) => value !== undefined)),
    };
    const ofAll: [string, unknown][] = [
      ["id", "1"],
      ["source", "/s"],
      ["type", "t"],
    ];
    const text = JSON.stringify(event).replace("{", `{"__proto__":{"subject":"x"},"a":1,`);
    structuredCloudEvent(stream, JSON.parse(text), false);
    const attributes = Object.entries(event).map(([name, value]) => [`ce-${name}`, value]);
    const headers = Object.fromEntries([
      ...attributes,
      ["ce-__proto__", "x"],
      ["ce-data", "x"],
      ["ce-a", "x"],
    ]);
    binaryCloudEvent(stream, headers, Buffer.from("1"));
    expect(seen).toEqual([ofAll, [...ofAll, ["data", 1]]]);
  });

  test("what is null is undefined to a mapping, and a media type that is empty is none", () => {
    const fromCloudEvent = (one: Any) => Object.entries(one).filter(([, value]) => value !== undefined);
    const stream: Stream = { ...events, fromCloudEvent };
    const nulls = { ...event, subject: null, time: null, datacontenttype: null };
    expect(structuredCloudEvent(stream, nulls, false).value).toEqual(
      structuredCloudEvent(stream, { ...event, data: undefined }, false).value,
    );
    const untyped = { ...event, datacontenttype: "", data_base64: "MQ==" };
    expect(structuredCloudEvent(stream, untyped, false).value).toContainEqual([
      "data",
      { data_base64: "MQ==" },
    ]);
  });

  test("a specversion that is none is not repeated", () => {
    for (const specversion of ["x".repeat(9000), {}, 1, undefined])
      expect(structuredCloudEvent(events, { ...event, specversion }, false).error?.message).toBe(
        'expected "1.0"',
      );
  });

  test("ids of two pairs of source and id differ", () => {
    const ids = [
      ["a", "b"],
      ["a,b", ""],
      ["", "a,b"],
      ['a","b', "c"],
      ["a", 'b","c'],
    ] as const;
    expect(new Set(ids.map(([source, id]) => cloudEventRawId(source, id))).size).toBe(ids.length);
  });
});
