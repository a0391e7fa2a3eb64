/** The console's own interface: between the page (packages/console) and the server that serves it on an operator's machine (dev/console). */

/** The header that holds the token of this start. */
export const CONSOLE_TOKEN_HEADER = "x-spillway-console";

/** Before a path of the supervisor, and before one of ingest. */
export const CONSOLE_SUPERVISOR = "/api/supervisor";
export const CONSOLE_INGEST = "/api/ingest";

/** `GET /api/about`: what the console's server says of itself. */
export interface ConsoleAbout {
  /** Which system it shows, for people: an address without a secret. */
  place: string;
  /** Not a running `spillway start`: each query and command may cost, and each change may be to the deployed system. */
  isProd: boolean;
  /** Whether a POST is forwarded. */
  canWrite: boolean;
  /** Where ingest is; null: it is not known. */
  ingestUrl: string | null;
  /** Whether the server has a key with which it may send a test event. */
  canSend: boolean;
}
