/**
 * A cloud for the rehearsal: one process that answers as Google's, Upstash's and Neon's APIs do, as far as the deployment uses them.
 *
 * Whoever is in this cloud (a revision, a build, the person with the terminal) has a door of its own: a port on loopback, to which
 * redirect.mjs and the curl of bin/ send each connection. A request's Host says who is asked. The door says whose metadata server it is;
 * who calls an API is said by the request's token, as in reality.
 */
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type HttpTarget, readAsked, sendJson } from "./asked.ts";
import { Builds } from "./builds.ts";
import { CloudRun } from "./cloud-run.ts";
import { Credentials } from "./credentials.ts";
import { answerGoogle } from "./google.ts";
import { Refused, Resources } from "./resources.ts";
import type { Vendors } from "./vendors.ts";

export class Cloud {
  readonly credentials = new Credentials();
  readonly resources = new Resources();
  readonly run: CloudRun;
  readonly builds: Builds;
  readonly vendors: Vendors;
  /** Images that were pushed. */
  readonly images = new Set<string>();
  /** What Cloud Tasks and Cloud Scheduler called, and what they heard. */
  readonly calls: { by: "tasks" | "scheduler"; url: string; status: number }[] = [];
  readonly #doors = new Map<string, Server>();
  readonly #underWay = new Set<Promise<unknown>>();

  constructor(vendors: Vendors, onLine: (line: string) => void = () => {}) {
    this.vendors = vendors;
    this.run = new CloudRun(this, onLine);
    this.builds = new Builds(this);
  }

  /** The environment of a process of this identity: it leaves through a door of its own. */
  async environmentOf(identity: string): Promise<NodeJS.ProcessEnv> {
    const redirect = new URL("./redirect.mjs", import.meta.url).href;
    return {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      NODE_OPTIONS: `--import=${redirect}`,
      REHEARSAL_PORT: String(await this.#doorOf(identity)),
      REHEARSAL_POSTGRES_PORT: String(this.vendors.postgresPort),
    };
  }

  async #doorOf(identity: string): Promise<number> {
    let door = this.#doors.get(identity);
    if (door === undefined) {
      door = createServer((req, res) => void this.#answer(req, res, identity));
      this.#doors.set(identity, door);
      await once(door.listen(0, "127.0.0.1"), "listening");
    }
    return (door.address() as AddressInfo).port;
  }

  /** Lets something go on beside the answer; `close` waits for it. */
  beside(work: Promise<unknown>): void {
    const quiet = work.catch(() => {}).finally(() => this.#underWay.delete(quiet));
    this.#underWay.add(quiet);
  }

  /** Resolves when nothing goes on beside the answers. */
  async settled(): Promise<void> {
    while (this.#underWay.size > 0) await Promise.all(this.#underWay);
  }

  /** Calls a service as the scheduler and the queue do: with a token of this service account. */
  async call(by: "tasks" | "scheduler", target: HttpTarget): Promise<number> {
    const { serviceAccountEmail = "", audience = "" } = target.oidcToken ?? {};
    const token = this.credentials.idToken(serviceAccountEmail, audience);
    const door = await this.#doorOf(`${by}@google`);
    const { host, pathname, search } = new URL(target.url);
    const headers = { "x-rehearsal-host": host, authorization: `Bearer ${token}` };
    const url = `http://127.0.0.1:${door}${pathname}${search}`;
    const { status } = await fetch(url, { method: target.httpMethod ?? "POST", headers });
    this.calls.push({ by, url: target.url, status });
    return status;
  }

  async #answer(req: IncomingMessage, res: ServerResponse, through: string): Promise<void> {
    try {
      const url = new URL(req.url ?? "/", `http://${req.headers["x-rehearsal-host"] ?? req.headers.host}`);
      if (url.host.endsWith(".run.app")) return await this.run.serve(req, res, url);
      if (await this.vendors.serve(req, res, url)) return;
      const asked = await readAsked(req, url, through, this.credentials);
      if (asked.host === "cloudbuild.googleapis.com" && asked.method === "POST")
        return await this.builds.serve(asked, res);
      sendJson(res, 200, await answerGoogle(this, asked));
    } catch (error) {
      const { status, message, reason } = error instanceof Refused ? error : new Refused(500, `${error}`);
      if (!res.headersSent) sendJson(res, status, { error: { code: status, message, status: reason } });
      else res.destroy();
    }
  }

  /** Ends every process and every door. */
  async close(): Promise<void> {
    await this.settled();
    await this.run.close();
    for (const door of this.#doors.values()) {
      door.closeAllConnections();
      door.close();
    }
  }
}
