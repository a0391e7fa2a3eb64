/**
 * The bare client: nothing but inserts, `jsonb_to_recordset` of one parameter, so many at once. What Postgres and
 * the way to it allow. The batches are made before the clock starts. Its argument is a BareJob; it says when it is ready, starts when it
 * is told to, and answers with seconds.
 */
import pg from "pg";
import { eventMaker } from "../../dev/load/payloads.ts";
import { newId } from "../../lib/schema/event-ids.ts";
import { type OneKind, streamOf, WARMUP_ROWS } from "../envelopes.ts";

export interface BareJob {
  transport: "HTTP" | "TCP";
  kind: OneKind;
  rows: number;
  batch: number;
  concurrency: number;
  databaseUrl: string;
  neonHttpUrl: string;
}

const columns = {
  gps: {
    names: "id, received_at, user_id, lat, lng, accuracy, speed, recorded_at",
    types:
      "id uuid, received_at timestamptz, user_id text, lat float8, lng float8, accuracy float8, speed float8, recorded_at timestamptz",
  },
  webhooks: {
    names: "id, received_at, type, payload",
    types: "id uuid, received_at timestamptz, type text, payload jsonb",
  },
};

function statement(kind: OneKind): string {
  const { names, types } = columns[kind];
  return `insert into ${streamOf(kind)} (${names}) select ${names} from jsonb_to_recordset($1) as x(${types}) on conflict (id) do nothing`;
}

/** camelCase fields as the columns are named. */
const toColumns = (event: object) =>
  Object.fromEntries(
    Object.entries(event).map(([field, value]) => [
      field.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`),
      value,
    ]),
  );

function makeBatches({ kind, rows, batch }: BareJob): string[] {
  const make = eventMaker(kind);
  const receivedAt = new Date().toISOString();
  return Array.from({ length: Math.ceil(rows / batch) }, (_, b) =>
    JSON.stringify(
      Array.from({ length: Math.min(batch, rows - b * batch) }, (_, i) => ({
        ...toColumns(make(b * batch + i)),
        id: newId(),
        received_at: receivedAt,
      })),
    ),
  );
}

function openHttp({ kind, databaseUrl, neonHttpUrl }: BareJob) {
  const query = statement(kind);
  return async (json: string) => {
    const response = await fetch(neonHttpUrl, {
      method: "POST",
      headers: {
        "neon-connection-string": databaseUrl,
        "neon-raw-text-output": "true",
        "neon-array-mode": "true",
      },
      body: JSON.stringify({ query, params: [json] }),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(text);
  };
}

function openTcp({ kind, databaseUrl, concurrency }: BareJob) {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: concurrency });
  const text = statement(kind);
  return async (json: string) => void (await pool.query({ name: "bare", text, values: [json] }));
}

type Insert = (json: string) => Promise<void>;

async function insertAll(insert: Insert, batches: string[], concurrency: number): Promise<void> {
  const loop = async () => {
    for (let json = batches.pop(); json !== undefined; json = batches.pop()) await insert(json);
  };
  await Promise.all(Array.from({ length: concurrency }, loop));
}

const job = JSON.parse(process.argv[2] ?? "") as BareJob;
const insert: Insert = job.transport === "HTTP" ? openHttp(job) : openTcp(job);
await insertAll(insert, makeBatches({ ...job, rows: WARMUP_ROWS[job.kind] }), job.concurrency);
const batches = makeBatches(job).reverse();
process.once("message", async () => {
  const startedAtMs = performance.now();
  await insertAll(insert, batches, job.concurrency);
  process.send?.((performance.now() - startedAtMs) / 1000, () => process.exit(0));
});
process.send?.("ready");
