/**
 * Node loads this before a function that `npm start` runs, and before no function that is deployed: nothing of it is in the image. It
 * writes lines of JSON to standard output, which `npm start` reads: each event that begins with `local.`.
 *
 * It sees answers where Node sends them, so the functions' own code knows nothing of it. What is told of a refusal is what the refusal
 * lists keep (lib/access/refusals.ts): no value of an event, and no name of a field that the schema does not declare.
 */
import { existsSync } from "node:fs";
import { ServerResponse } from "node:http";
import { Server } from "node:net";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

/** How many refusals are told one by one in a second; of the others, how many of each code there were. */
const TOLD_MAX = 5;
const SECOND_MS = 1000;
/** Refused events that are remembered until their requests are answered. */
const NOTED_MAX = 1000;

const tell = (event, fields) => process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
const argument = (name) => process.argv[process.argv.indexOf(name) + 1];

/** Lets the function wait until the process before it has let go of the port, so that hardly a request finds nobody. */
function waitForPort() {
  const { listen } = Server.prototype;
  Server.prototype.listen = function (...args) {
    Server.prototype.listen = listen; // of this one server
    let isWaiting = false;
    const again = (error) => {
      if (error.code !== "EADDRINUSE") throw error;
      if (!isWaiting) tell("local.waiting");
      isWaiting = true;
      setTimeout(() => listen.call(this, args[0]), 5);
    };
    this.on("error", again);
    this.once("listening", () => {
      this.off("error", again);
      tell("local.listening");
    });
    return listen.apply(this, args);
  };
}

async function tellAnswers() {
  const noted = await noteRefusedEvents();
  const second = new Second();
  for (const name of ["write", "end"]) {
    const send = ServerResponse.prototype[name];
    ServerResponse.prototype[name] = function (chunk, encoding, callback) {
      if (typeof chunk === "string") readAnswer(this, chunk, second, noted);
      return send.call(this, chunk, encoding, callback);
    };
  }
  process.on("exit", () => second.end());
}

/** Reads how a request was answered. What is no acceptance and no problem is not told. */
function readAnswer({ req, statusCode }, text, second, noted) {
  if (statusCode < 300) {
    const [, accepted] = (req.method === "POST" && /^\{"accepted":(\d+)/.exec(text)) || [];
    if (accepted === undefined) return;
    second.accept(streamOf(req.url), Number(accepted));
    if (text.includes('"rejected":[')) second.refuse(req, rejectionOf(statusCode, text), noted);
  } else if (text.startsWith('{"type":')) {
    second.refuse(req, () => JSON.parse(text), noted, /"code":"([a-z-]+)"/.exec(text)?.[1]);
  }
}

/** Of a request whose events were accepted in part: the code is in the item, if it is not `invalid-event`. */
const rejectionOf = (status, text) => () => {
  const { accepted, rejected } = JSON.parse(text);
  const detail = `${rejected.length} of ${accepted + rejected.length} events`;
  return { status, code: rejected[0]?.code ?? "invalid-event", detail };
};

/** What was told of this second. It begins with the first answer, so an idle function has no timer. */
class Second {
  #accepted = new Map();
  #more = new Map();
  #told = 0;
  #timer;

  accept(stream, count) {
    this.#begin();
    this.#accepted.set(stream, (this.#accepted.get(stream) ?? 0) + count);
  }

  refuse(req, read, noted, code = "invalid-event") {
    this.#begin();
    const id = String(req.headers["x-request-id"]);
    const first = noted.get(id);
    noted.delete(id);
    if (this.#told === TOLD_MAX) return void this.#more.set(code, (this.#more.get(code) ?? 0) + 1);
    this.#told += 1;
    const problem = read();
    const sentence = [sentenceOf(problem), first && `${first.path && `${first.path}: `}${first.message}`];
    const route = req.method ? `${req.method} ${routeOf(req.url)}` : "what is no request";
    tell("local.refused", {
      ...{ route, status: problem.status, code: problem.code },
      sentence: sentence.filter(Boolean).join("; "),
    });
  }

  /** Tells the sums. They are told at the process's end, too. */
  end() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#told = 0;
    if (this.#accepted.size > 0) tell("local.accepted", { streams: Object.fromEntries(this.#accepted) });
    if (this.#more.size > 0) tell("local.refused-more", { codes: Object.fromEntries(this.#more) });
    this.#accepted = new Map();
    this.#more = new Map();
  }

  #begin() {
    this.#timer ??= setTimeout(() => this.end(), SECOND_MS).unref();
  }
}

/** What is quoted may be anything that the sender wrote. */
const sentenceOf = ({ detail, title }) => (detail.includes('"') ? title : detail);

const pathOf = (url) => url.split("?", 1)[0].split("/");
const streamOf = (url) => pathOf(url)[2] ?? "";

/** The path without an event's id, without its query, and without a key that is there by mistake. */
function routeOf(url) {
  const [, version, stream, ...rest] = pathOf(url);
  const more = rest.length === 0 ? [] : rest[0] === "from" ? rest.slice(0, 2) : ["…"];
  const route = version === "v1" ? ["", version, stream, ...more].join("/") : pathOf(url).join("/");
  const plain = route.replaceAll(/[^\x21-\x7e…]/g, "?").replaceAll(/spw_\w+/g, "spw_…");
  return plain.length > 80 ? `${plain.slice(0, 80)}…` : plain;
}

/** Keeps the first rejected event of each request as the refusal lists have it, by the request's id. */
async function noteRefusedEvents() {
  const source = argument("--source");
  // The package has the function's own modules beside this file, a checkout has them beside what it built.
  const built = source.endsWith(".js") ? join(dirname(source), "..") : join(source, "dist");
  const beside = new URL("../../lib/access/refusals.js", import.meta.url);
  const lib = existsSync(beside)
    ? new URL("../../lib/", import.meta.url)
    : pathToFileURL(join(built, "lib/"));
  const load = (file) => import(new URL(file, lib).href);
  const noted = new Map();
  try {
    const [{ Refusals }, { declaredPath }] = await Promise.all([
      load("access/refusals.js"),
      load("schema/declared-path.js"),
    ]);
    const { note } = Refusals.prototype;
    Refusals.prototype.note = function (stream, refused) {
      const { requestId, path, message, code } = refused;
      if (stream && (code === "invalid-event" || code === "refused-by-database") && noted.size < NOTED_MAX)
        noted.set(requestId, { path: declaredPath(stream.schema, path), message });
      note.call(this, stream, refused);
    };
  } catch {
    // A function that is laid out in another way, or that can't be loaded: it says so itself.
  }
  return noted;
}

process.stdout.on("error", () => {}); // npm start is gone
if (process.env.SPILLWAY_TAKES_OVER) waitForPort();
if (argument("--target") === "ingest") await tellAnswers();
