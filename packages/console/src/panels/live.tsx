/**
 * The live view: batches as they are stored, with their lag, and the newest rows of tables whose events are stored while answering. It shows ids
 * only; the event of an id is read from its table when somebody asks for it.
 */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import type { LiveBatch } from "../../../../lib/contract/live-history.ts";
import type { StoredEvent } from "../../../../lib/contract/stored-event.ts";
import { shownJson } from "../model/shown-json.ts";
import { described, describeStreams } from "../open-api.ts";
import { clockOf, countOf, numberOf, spanOf } from "../phrases.ts";
import { askSupervisor } from "../server.ts";
import { about, live, supervisorMs, wantedLines, wantLines } from "../state.ts";
import { Button } from "./button.tsx";
import { Panel } from "./panel.tsx";
import { Code, Scroll } from "./scroll.tsx";

export function LiveView() {
  return (
    <Panel id="live" title="Events as they are stored">
      <Inside />
    </Panel>
  );
}

/** More batches are no use on a page. */
const ROWS_SHOWN = 12;
/** Of each batch. */
const IDS_SHOWN = 2;

interface Chosen {
  stream: string;
  id: string;
}

function Inside() {
  const shown = useSignal<(Chosen & { text: string }) | null>(null);
  const choose = async (stream: string, id: string) => {
    const asked = await readEvent(stream, id).catch((error: Error) => error.message);
    shown.value = { stream, id, text: asked };
  };
  useStoredTables();
  return (
    <>
      {shown.value && <Shown {...shown.value} />}
      <Batches choose={choose} />
      <h3>Stored while answering</h3>
      <TableChoice />
      {[...wantedStreams()].map((stream) => (
        <Rows key={stream} stream={stream} choose={choose} />
      ))}
      {live.value.missed > 0 && (
        <p class="note">
          {countOf(live.value.missed, "line")} came too fast for this page and were left out.
        </p>
      )}
    </>
  );
}

/** Locally, tables of streams that store while answering are read as long as the view is open. */
function useStoredTables(): void {
  const isHeard = live.value.hello !== undefined; // it says which tables can be read
  useEffect(() => {
    if (isHeard && about.value?.isProd === false) void wantStored();
  }, [isHeard]);
  useEffect(
    () => () => {
      for (const stream of wantedStreams()) wantLines(`stored:${stream}`, false);
    },
    [],
  );
}

async function wantStored(): Promise<void> {
  await describeStreams().catch(() => {}); // without it, somebody chooses
  const readable = new Set(live.value.hello?.readable);
  for (const { name, isStored } of described.value ?? [])
    if (isStored && readable.has(name)) wantLines(`stored:${name}`, true);
}

const wantedStreams = (): string[] =>
  [...wantedLines.value].filter((one) => one.startsWith("stored:")).map((one) => one.slice("stored:".length));

function TableChoice() {
  const wanted = new Set(wantedStreams());
  return (
    <fieldset class="row">
      <legend>
        No batch tells of events that ingest stores before it answers. Read the newest rows of these tables,
        by asking Postgres:
      </legend>
      {(live.value.hello?.readable ?? []).map((stream) => (
        <label key={stream}>
          <input
            type="checkbox"
            checked={wanted.has(stream)}
            onChange={(event) => wantLines(`stored:${stream}`, event.currentTarget.checked)}
          />{" "}
          {stream}
        </label>
      ))}
    </fieldset>
  );
}

type Choose = (stream: string, id: string) => Promise<void>;

function Batches({ choose }: { choose: Choose }) {
  const { batches } = live.value;
  return (
    <Scroll label="Batches">
      <table id="batches">
        <caption>
          {batches.length === 0
            ? "No batch has been stored yet."
            : "The newest batches. Lag: from receipt until stored."}
        </caption>
        <thead>
          <tr>
            <th scope="col">At</th>
            <th scope="col">Stream</th>
            <th scope="col" class="number">
              Rows
            </th>
            <th scope="col">Lag</th>
            <th scope="col" class="number">
              Insert
            </th>
            <th scope="col">Ids</th>
          </tr>
        </thead>
        <tbody>
          {batches.slice(0, ROWS_SHOWN).map((batch) => (
            <Batch key={batch.cursor} batch={batch} choose={choose} />
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Batch({ batch, choose }: { batch: LiveBatch; choose: Choose }) {
  const { at, stream, rows, dead, held, duplicates, superseded, ids } = batch;
  const { oldestLagMs, newestLagMs, insertMs } = batch;
  const shown = ids.slice(0, IDS_SHOWN);
  const besides = [
    dead > 0 && `${dead} dead`,
    held > 0 && `${held} held`,
    duplicates > 0 && `${duplicates} ${duplicates === 1 ? "duplicate" : "duplicates"}`,
    superseded > 0 && `${superseded} superseded`,
  ];
  return (
    <tr class="fresh">
      <td>{clockOf(at, "seconds")}</td>
      <td>{stream}</td>
      <td class="number">
        {numberOf(rows)}
        {besides.filter((text) => text !== false).map((text) => ` · ${text}`)}
      </td>
      <td>{lagOf(newestLagMs, oldestLagMs)}</td>
      <td class="number">{spanOf(insertMs)}</td>
      <td class="text ids">
        {shown.map((id) => (
          <EventId key={id} stream={stream} id={id} choose={choose} />
        ))}
        {rows > shown.length && shown.length > 0 && (
          <span class="note"> and {numberOf(rows - shown.length)} more</span>
        )}
      </td>
    </tr>
  );
}

/** From the newest event to the oldest, once if they are alike. */
function lagOf(newestMs: number, oldestMs: number): string {
  const [newest, oldest] = [spanOf(newestMs), spanOf(oldestMs)];
  return newest === oldest ? newest : `${newest} to ${oldest}`;
}

function EventId({ stream, id, choose }: Chosen & { choose: Choose }) {
  return (
    <span class="id">
      <code>{id}</code>{" "}
      <Button run={() => choose(stream, id)} label={`Show the event ${id}`}>
        Event
      </Button>
    </span>
  );
}

function Rows({ stream, choose }: { stream: string; choose: Choose }) {
  const rows = live.value.rows.get(stream);
  if (rows === undefined) return <p class="note">Reading {stream} …</p>;
  if (rows === null)
    return <p class="wrong">Postgres does not answer: the rows of {stream} can't be read.</p>;
  return (
    <Scroll label={`Rows of ${stream}`}>
      <table data-rows-of={stream}>
        <caption>
          {stream}: {rows.length === 0 ? "no row in the last 15 minutes" : "the newest rows"}
        </caption>
        <tbody>
          {rows.slice(0, 10).map(({ id, receivedAt }) => (
            <tr key={id} class="fresh">
              <td>{clockOf(receivedAt, "seconds")}</td>
              <td>{spanOf(supervisorMs.value - Date.parse(receivedAt))} ago</td>
              <td class="text">
                <EventId stream={stream} id={id} choose={choose} />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

/** The event as its table has it, for people. Throws a Refused. */
async function readEvent(stream: string, id: string): Promise<string> {
  const path = `/streams/${encodeURIComponent(stream)}/events/${encodeURIComponent(id)}`;
  const { row, bytes } = await askSupervisor<StoredEvent>("GET", path);
  return row === null ? `It is not shown, because it has ${numberOf(bytes)} bytes.` : shownJson(row);
}

/** It is above both tables, so the page goes there: the button may be a screen below. */
function Shown({ stream, id, text }: Chosen & { text: string }) {
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.scrollIntoView({ block: "nearest" }), [id, text]);
  return (
    <section ref={place} id="shown-event" aria-label="The event" role="status">
      <p class="note">
        {stream} <code>{id}</code>, as its table has it now:
      </p>
      <Code>{text}</Code>
    </section>
  );
}
