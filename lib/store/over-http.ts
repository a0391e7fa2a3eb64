/** Postgres over Neon's HTTP: a batch is one POST, which Neon runs as one transaction. */
import { neon, neonConfig } from "@neondatabase/serverless";
import { type Post, sendPost } from "../http-post.ts";

/** The proxy in front of Postgres answered, not Postgres: a wrong password, no such database, a quota, no compute. */
export class ProxyRefused extends Error {
  override name = "ProxyRefused";
  readonly status: number;
  /** A SQLSTATE, if the proxy gave one. */
  readonly sqlstate: string | undefined;

  constructor(status: number, sqlstate: string | undefined, message: string) {
    super(message);
    this.status = status;
    this.sqlstate = sqlstate;
  }
}

/** Makes the client beneath Drizzle. Every request gives up after `timeoutMs`. */
export function overHttp(databaseUrl: string, timeoutMs: number, neonHttpUrl: string | undefined) {
  if (neonHttpUrl !== undefined) neonConfig.fetchEndpoint = neonHttpUrl;
  neonConfig.fetchFunction = postAsFetch;
  return neon(databaseUrl, { fetchOptions: { timeoutMs } });
}

/**
 * As much of fetch as Neon's driver uses; it passes `fetchOptions` on. Throws ProxyRefused for an answer that is not
 * Postgres's, because the driver would drop its code and message.
 */
async function postAsFetch(url: string, init: Post) {
  const { ok, status, text } = await sendPost(url, init);
  const body = parse(text);
  const { code, message } = (body ?? {}) as { code?: unknown; message?: unknown };
  const sqlstate = typeof code === "string" && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
  if (body === undefined || (!ok && (status !== 400 || sqlstate === undefined)))
    throw new ProxyRefused(ok ? 502 : status, sqlstate, wordsOf(status, message));
  return { ok, status, text: async () => text, json: async () => body };
}

/** The proxy's own words, bounded; they hold no data of an event. */
const wordsOf = (status: number, message: unknown): string =>
  `HTTP ${status} from the database's proxy${typeof message === "string" ? `: ${message.slice(0, 200)}` : ""}`;

function parse(text: string): object | undefined {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? body : undefined;
  } catch {
    return undefined;
  }
}
