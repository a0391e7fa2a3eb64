/**
 * Cloud Run, for the rehearsal: services, their revisions, and the front end. A revision whose image was pushed is a process of the
 * built function, with the environment that its template names, and with the secrets that its service account may read. The front end
 * lets in whom the service's policy names, with a token for the service's own address, and sends a request to the revision that traffic
 * or a tag names.
 */
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isDeepStrictEqual } from "node:util";
import { startFunction } from "../stack/function-process.ts";
import { findFreePorts } from "../stack/ports.ts";
import type { Cloud } from "./cloud.ts";
import { withoutSignature } from "./credentials.ts";
import { Refused, type Resource } from "./resources.ts";
import type { Container, EnvVar, Place, Template } from "./templates.ts";

export interface TrafficTarget {
  type: "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST" | "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION";
  revision?: string;
  percent?: number;
  tag?: string;
}

export interface Service extends Resource {
  uri: string;
  template: Template;
  traffic: TrafficTarget[];
  invokerIamDisabled?: boolean;
  latestCreatedRevision: string;
  latestReadyRevision: string;
}

export interface Revision extends Resource {
  template: Template;
}

interface Running {
  port: number;
  stop(): Promise<void>;
}

export const LATEST: TrafficTarget = { type: "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", percent: 100 };
const PLACEHOLDER = "us-docker.pkg.dev/cloudrun/container/hello";
const shortName = (name: string) => name.slice(name.lastIndexOf("/") + 1);

export class CloudRun {
  readonly #cloud: Cloud;
  readonly #onLine: (line: string) => void;
  readonly #running = new Map<string, Promise<Running>>();
  /** Whether the network fails: such a request is ended without an answer. */
  isCut: (req: IncomingMessage, url: URL) => boolean | Promise<boolean> = () => false;
  /** Whether the network fails on the way back: such a request is served, and its answer does not arrive. */
  isAnswerLost: (req: IncomingMessage, url: URL) => boolean = () => false;

  constructor(cloud: Cloud, onLine: (line: string) => void) {
    this.#cloud = cloud;
    this.#onLine = onLine;
  }

  async createService(name: string, given: Record<string, unknown>): Promise<Service> {
    const uri = `https://${shortName(name)}-rehearsal-uk.a.run.app`;
    const empty = { latestCreatedRevision: "", latestReadyRevision: "" };
    const service = { traffic: [LATEST], ...given, ...empty, name, uri } as unknown as Service;
    this.#cloud.resources.create(service);
    await this.#makeRevision(service);
    return service;
  }

  /** Another template makes another revision, which has to start. */
  async updateService(name: string, given: Partial<Service>): Promise<Service> {
    const service = this.#cloud.resources.get(name) as Service;
    const before = structuredClone(service.template);
    Object.assign(service, given, { name }); // Terraform says only the last part of it
    if (!isDeepStrictEqual(before, service.template)) await this.#makeRevision(service);
    this.#stopUnreachable(service);
    return service;
  }

  async deleteService(name: string): Promise<void> {
    const gone = [...this.#running].filter(([revision]) => revision.startsWith(`${name}/`));
    for (const [revision] of gone) this.#running.delete(revision);
    this.#cloud.resources.delete(name);
    await Promise.all(gone.map(async ([, running]) => (await running).stop()));
  }

  async #makeRevision(service: Service): Promise<void> {
    const template = structuredClone(service.template);
    const count = this.#cloud.resources.list(`${service.name}/revisions`).length + 1;
    const id = template.revision ?? `${shortName(service.name)}-${String(count).padStart(5, "0")}-abc`;
    const revision = { name: `${service.name}/revisions/${id}`, template };
    this.#cloud.resources.create(revision);
    service.latestCreatedRevision = revision.name;
    await this.#runningOf(revision);
    service.latestReadyRevision = revision.name;
  }

  /** The full name of the revision that a traffic target means. */
  revisionOf(service: Service, target: TrafficTarget): string {
    return target.revision ? `${service.name}/revisions/${target.revision}` : service.latestReadyRevision;
  }

  #stopUnreachable(service: Service): void {
    const reached = new Set(service.traffic.map((target) => this.revisionOf(service, target)));
    reached.add(service.latestCreatedRevision);
    for (const [name, running] of this.#running) {
      if (!name.startsWith(`${service.name}/`) || reached.has(name)) continue;
      this.#running.delete(name);
      this.#cloud.beside(running.then(({ stop }) => stop()));
    }
  }

  #runningOf(revision: Revision): Promise<Running> {
    const known = this.#running.get(revision.name);
    if (known) return known;
    const starting = this.#start(revision);
    this.#running.set(revision.name, starting);
    starting.catch(() => this.#running.delete(revision.name));
    return starting;
  }

  async #start({ name, template }: Revision): Promise<Running> {
    const [container = { image: "" }] = template.containers;
    const { image, args = [] } = container;
    if (image === PLACEHOLDER) return startPlaceholder();
    if (!this.#cloud.images.has(image)) throw new Refused(400, `Image '${image}' not found.`);
    const [port = 0] = await findFreePorts(1);
    const target = /--target=(\w+)/.exec(args.join(" "))?.[1] as "ingest" | "supervisor";
    const env = {
      ...(await this.environmentOf(container, template)),
      K_SERVICE: shortName(name.split("/revisions/")[0] ?? ""),
      K_REVISION: shortName(name),
    };
    const onLine = (line: string) => this.#onLine(`${shortName(name)} ${line}`);
    return startFunction({ target, port, env, onLine }).catch((error: Error) => {
      throw new Refused(400, `Revision '${shortName(name)}' is not ready: ${error.message}`);
    });
  }

  /** What a container finds in its environment; where it may go is there, too (redirect.mjs). */
  async environmentOf({ env = [] }: Container, place: Place): Promise<NodeJS.ProcessEnv> {
    const { serviceAccount, vpcAccess, volumes = [] } = place;
    const instances = volumes.flatMap(({ cloudSqlInstance }) => cloudSqlInstance?.instances ?? []);
    const mayConnect = (instance: string) =>
      this.#cloud.resources.has(
        `projects/${instance.replace(/:[^:]+:[^:]+$/, "")}`,
        serviceAccount,
        "roles/cloudsql.client",
      );
    return {
      ...(await this.#cloud.environmentOf(serviceAccount)),
      REHEARSAL_SOCKETS: instances.filter(mayConnect).join(","),
      ...(vpcAccess ? { REHEARSAL_REDIS_PORT: this.#cloud.vendors.redisPort } : {}),
      ...Object.fromEntries(env.map((one) => this.#variable(one, serviceAccount))),
    };
  }

  #variable({ name, value = "", valueSource }: EnvVar, account: string): [string, string] {
    if (valueSource === undefined) return [name, value];
    const { secret, version } = valueSource.secretKeyRef;
    const { resources } = this.#cloud;
    const full = resources.names.find((one) => one.endsWith(`/secrets/${secret}`)) ?? secret;
    if (!resources.has(full, account, "roles/secretmanager.secretAccessor"))
      throw new Refused(400, `Permission denied on secret: ${full} for Revision service account ${account}.`);
    const { payload } = resources.get(`${full}/versions/${version}`) as unknown as {
      payload: { data: string };
    };
    return [name, Buffer.from(payload.data, "base64").toString()];
  }

  /** The front end: https://SERVICE-…run.app and https://TAG---SERVICE-…run.app. */
  async serve(req: IncomingMessage, res: ServerResponse, url: URL): Promise<void> {
    if (await this.isCut(req, url)) return void res.destroy();
    const [, tag, host] = /^(?:([\w-]+)---)?(.*)$/.exec(url.host) ?? [];
    const all = this.#cloud.resources.names.filter((name) => /\/services\/[^/]+$/.test(name));
    const service = all
      .map((name) => this.#cloud.resources.get(name) as Service)
      .find(({ uri }) => uri === `https://${host}`);
    const isMeant = (one: TrafficTarget) => (tag ? one.tag === tag : (one.percent ?? 0) > 0);
    const target = service?.traffic.find(isMeant);
    if (service === undefined || target === undefined) return refuse(res, 404);
    const { authorization } = req.headers;
    const email = this.#cloud.credentials.emailOf(authorization, service.uri);
    if (!service.invokerIamDisabled && !this.#cloud.resources.has(service.name, email, "roles/run.invoker"))
      return refuse(res, authorization ? 401 : 403);
    const revision = this.#cloud.resources.get(this.revisionOf(service, target)) as Revision;
    await this.#forward(req, res, url, revision);
  }

  async #forward(req: IncomingMessage, res: ServerResponse, url: URL, revision: Revision): Promise<void> {
    const { port } = await this.#runningOf(revision);
    const headers = { ...req.headers, host: url.host };
    if (headers.authorization?.includes(".")) headers.authorization = withoutSignature(headers.authorization);
    const timeout = Number.parseFloat(revision.template.timeout ?? "300s") * 1000;
    const path = `${url.pathname}${url.search}`;
    const sent = request(
      { host: "127.0.0.1", port, path, method: req.method, headers, timeout },
      (answer) => {
        if (this.isAnswerLost(req, url)) return void answer.resume().on("end", () => res.destroy());
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(res);
      },
    );
    sent.on("timeout", () => sent.destroy());
    sent.on("error", () => (res.headersSent ? res.destroy() : refuse(res, 503)));
    req.pipe(sent);
  }

  async close(): Promise<void> {
    const all = [...this.#running.values()];
    this.#running.clear();
    await Promise.allSettled(all.map(async (running) => (await running).stop()));
  }
}

const refuse = (res: ServerResponse, status: number): void =>
  void res.writeHead(status, { "content-type": "text/html" }).end(`<html>${status}</html>`);

/** The image before the first deployment: it answers 200 to everything. */
async function startPlaceholder(): Promise<Running> {
  const server = createServer((req, res) => {
    req.resume();
    res.end("It's running!");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    stop: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
