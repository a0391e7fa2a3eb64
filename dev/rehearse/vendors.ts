/**
 * Upstash and Neon, for the rehearsal: their management APIs make a database, and its address leads to a real Redis or a real Postgres
 * of this machine, for whoever shows the token or the password that was given away.
 */
import { once } from "node:events";
import { type IncomingMessage, request, type ServerResponse } from "node:http";
import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { type NeonBridge, startNeonBridge } from "../stack/neon-bridge.ts";
import { startUpstashBridge, type UpstashBridge } from "../stack/upstash-bridge.ts";
import { readJson, sendJson } from "./asked.ts";
import { Refused } from "./resources.ts";

const UPSTASH_API = "api.upstash.com";
const NEON_API = "console.neon.tech";
/** Google Cloud's regions at Upstash (its console, 2026-11). */
const UPSTASH_REGIONS = ["us-central1", "us-east4", "europe-west1", "asia-northeast1"];

interface Redis {
  endpoint: string;
  bridge: UpstashBridge;
}

export class Vendors {
  readonly #redisUrl: string;
  readonly #databaseUrl: URL;
  readonly #neon: NeonBridge;
  readonly #front: Server;
  readonly #redis = new Map<string, Redis & Record<string, unknown>>();
  readonly #projects = new Map<string, Record<string, unknown>>();
  #count = 0;
  /** Neon's compute does not answer. */
  isPostgresAway = false;

  static async open(redisUrl: string, databaseUrl: string): Promise<Vendors> {
    const front = createServer((socket) => answerTls(socket, new URL(databaseUrl)));
    await once(front.listen(0, "127.0.0.1"), "listening");
    return new Vendors(redisUrl, databaseUrl, await startNeonBridge(), front);
  }

  private constructor(redisUrl: string, databaseUrl: string, neon: NeonBridge, front: Server) {
    this.#redisUrl = redisUrl;
    this.#databaseUrl = new URL(databaseUrl);
    this.#neon = neon;
    this.#front = front;
  }

  /** What was made and is still there: "redis" and "project", each once for each. */
  get databases(): string[] {
    return [
      ...[...this.#redis.keys()].map(() => "redis"),
      ...[...this.#projects.keys()].map(() => "project"),
    ];
  }

  get postgresPort(): number {
    return (this.#front.address() as AddressInfo).port;
  }

  /** Of the Redis itself, for whoever is in its network. */
  get redisPort(): string {
    return new URL(this.#redisUrl).port;
  }

  /** Answers if it is asked for something of the vendors. */
  async serve(req: IncomingMessage, res: ServerResponse, { host, pathname }: URL): Promise<boolean> {
    const redis = [...this.#redis.values()].find(({ endpoint }) => endpoint === host);
    if (redis) forward(req, res, redis.bridge.port);
    else if (/^api\..*\.neon\.tech$/.test(host)) this.#serveSql(req, res);
    else if (host === UPSTASH_API) await this.#manageRedis(req, res, pathname);
    else if (host === NEON_API) await this.#manageNeon(req, res, pathname);
    else return false;
    return true;
  }

  async #manageRedis(req: IncomingMessage, res: ServerResponse, path: string): Promise<void> {
    const [, id = ""] = /^\/v2\/redis\/database\/(.+)$/.exec(path) ?? [];
    if (req.method === "POST") return sendJson(res, 200, await this.makeRedis(await readJson(req)));
    const found = this.#redis.get(id);
    if (found === undefined) return sendJson(res, 404, { error: `${path} was not found` });
    if (req.method === "DELETE") {
      this.#redis.delete(id);
      await found.bridge.close();
    }
    const { bridge: _, ...told } = found;
    sendJson(res, 200, told);
  }

  /** As their API says: a database on Google Cloud is of the region gcp-global, and has a primary region. */
  async makeRedis(asked: Record<string, unknown>) {
    if (asked.region !== "gcp-global" || !UPSTASH_REGIONS.includes(`${asked.primary_region}`))
      throw new Refused(400, `invalid region: ${asked.region} ${asked.primary_region}`);
    const id = `redis-${++this.#count}`;
    const rest_token = `token-of-${id}`;
    const bridge = await startUpstashBridge({ redisUrl: this.#redisUrl, token: rest_token });
    const told = { ...asked, database_id: id, endpoint: `${id}.upstash.io`, rest_token };
    this.#redis.set(id, { ...told, bridge });
    return told;
  }

  async #manageNeon(req: IncomingMessage, res: ServerResponse, path: string): Promise<void> {
    const [, id = ""] = /^\/api\/v2\/projects\/(.+)$/.exec(path) ?? [];
    if (req.method === "POST") return sendJson(res, 201, this.makeProject(await readJson(req)));
    const project = this.#projects.get(id);
    if (project === undefined) return sendJson(res, 404, { message: `${path} was not found` });
    if (req.method === "DELETE") this.#projects.delete(id);
    sendJson(res, 200, { project });
  }

  /** A person's key needs an organisation. */
  makeProject(asked: Record<string, unknown>) {
    const given = asked.project as Record<string, unknown>;
    if (!given.org_id) throw new Refused(400, "org_id is required");
    const id = `project-${++this.#count}`;
    const { username, password, pathname } = this.#databaseUrl;
    const login = `${username}:${password || "none"}`;
    const uri = `postgres://${login}@ep-${id}.us-east-1.aws.neon.tech${pathname}?sslmode=require`;
    const project = { ...given, id };
    this.#projects.set(id, { ...project, connection_uri: uri });
    return { project, connection_uris: [{ connection_uri: uri }] };
  }

  /** The connection string has to be one that was given away. */
  #serveSql(req: IncomingMessage, res: ServerResponse) {
    const given = loginOf(`${req.headers["neon-connection-string"]}`);
    const isKnown = [...this.#projects.values()].some((one) => loginOf(`${one.connection_uri}`) === given);
    if (!isKnown) return sendJson(res, 400, { message: "password authentication failed", code: "" });
    if (this.isPostgresAway) return sendJson(res, 500, { message: "Couldn't connect to compute node" });
    forward(req, res, this.#neon.port, { "neon-connection-string": this.#databaseUrl.href });
  }

  async close(): Promise<void> {
    this.#front.close();
    await Promise.all([...this.#redis.values()].map(({ bridge }) => bridge.close()));
    await this.#neon.close();
  }
}

/** Who logs in where, of a connection string. */
function loginOf(uri: string): string {
  const { username, password, host, pathname } = new URL(uri);
  return [username, password, host, pathname].join(" ");
}

function forward(req: IncomingMessage, res: ServerResponse, port: number, more: object = {}): void {
  const { pathname, search } = new URL(req.url ?? "/", "http://host");
  const headers = { ...req.headers, ...more };
  const options = { host: "127.0.0.1", port, path: `${pathname}${search}`, method: req.method, headers };
  const sent = request(options, (answer) => {
    res.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(res);
  });
  sent.on("error", () => res.destroy());
  req.pipe(sent);
}

/** Postgres over TCP begins with a question for TLS. The answer is yes; redirect.mjs then goes on without. */
function answerTls(socket: Socket, { hostname, port }: URL): void {
  socket.on("error", () => socket.destroy());
  socket.once("data", (first) => {
    const postgres = connect(Number(port), hostname);
    postgres.on("error", () => socket.destroy());
    if (first.length === 8) socket.write("S");
    else postgres.write(first);
    socket.pipe(postgres).pipe(socket);
  });
}
