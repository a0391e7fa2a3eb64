/**
 * People who look on, as a process of its own: the console's server as `spillway console` starts it, and readers of `GET /live` through it,
 * which parse each line as the page does. It is told by its parent how many there are (`Wanted`), and answers what they have read (`Heard`).
 */
import { get } from "node:http";
import { startConsole } from "../dev/console/console-server.ts";
import { supervisorAt } from "../dev/operate/ask-supervisor.ts";
import { CONSOLE_SUPERVISOR, CONSOLE_TOKEN_HEADER } from "../lib/contract/console.ts";
import type { LiveLine } from "../lib/contract/live.ts";

/** So many readers from now on, those of before are gone; `panels` as in `GET /live`. Absent: only tell. */
export interface Wanted {
  viewers?: number;
  panels?: string;
}

/** Of each reader: events of the batches that were settled since it came, and lines that it missed. */
export type Heard = { rows: number; missed: number }[];

class Viewer {
  readonly heard = { rows: 0, missed: 0 };
  /** Resolves when it has read what waits in Redis now. */
  readonly isThere: Promise<void>;
  readonly #leaving = new AbortController();
  #cursor = 0;
  #text = "";

  constructor(url: string, token: string) {
    this.isThere = new Promise((resolve, reject) => {
      const headers = { [CONSOLE_TOKEN_HEADER]: token };
      const request = get(url, { headers, signal: this.#leaving.signal, agent: false }, (response) => {
        if (response.statusCode !== 200) reject(new Error(`/live answered ${response.statusCode}`));
        response.setEncoding("utf8").on("data", (piece: string) => this.#read(piece, resolve));
        response.on("error", () => {});
      });
      request.on("error", reject);
    });
  }

  leave(): void {
    this.#leaving.abort();
  }

  #read(piece: string, arrive: () => void): void {
    const lines = (this.#text + piece).split("\n");
    this.#text = lines.pop() ?? "";
    for (const text of lines) {
      const line = JSON.parse(text) as LiveLine;
      if (line.kind === "hello") this.#cursor = line.cursor;
      if (line.kind === "behind") this.heard.missed += line.missed;
      if (line.kind === "batch" && line.cursor > this.#cursor) this.heard.rows += line.rows;
      if (line.kind === "counts") arrive();
    }
  }
}

const [supervisorUrl = ""] = process.argv.slice(2);
const target = {
  supervisor: supervisorAt(supervisorUrl, async () => undefined),
  ...{ ingest: undefined, isProd: false, canWrite: false },
};
const served = await startConsole({ target, port: 0 });
const token = new URL(served.url).hash.slice(1);
let viewers: Viewer[] = [];

async function seat(count: number, panels: string): Promise<void> {
  for (const viewer of viewers) viewer.leave();
  const query = panels === "" ? "" : `?panels=${panels}`;
  const url = `http://127.0.0.1:${served.port}${CONSOLE_SUPERVISOR}/live${query}`;
  viewers = Array.from({ length: count }, () => new Viewer(url, token));
  await Promise.all(viewers.map(({ isThere }) => isThere));
}

process.on("message", async (wanted: Wanted) => {
  if (wanted.viewers !== undefined) await seat(wanted.viewers, wanted.panels ?? "");
  process.send?.(viewers.map(({ heard }) => heard) satisfies Heard);
});
process.send?.("ready");
process.once("SIGTERM", () => process.exit(0));
