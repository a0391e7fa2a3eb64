/**
 * The rehearsal's provider, for each name: Terraform starts it and asks it over gRPC, and it asks the vendors' APIs, as the real
 * providers do. Its schema is what the files in SPILLWAY_TERRAFORM declare (declared.ts).
 *
 * A plan is what Terraform proposes. Reading compares what the API has with what Terraform knows, so a change by somebody else shows in the
 * next plan.
 */
import { fileURLToPath } from "node:url";
import { isDeepStrictEqual } from "node:util";
import grpc from "@grpc/grpc-js";
import loader from "@grpc/proto-loader";
import { type Attributes, ask, HttpFailed, withPolicy } from "./ask.ts";
import { type Block, readDeclared } from "./declared.ts";
import { fromBody, PLACES, toBody } from "./rest.ts";
import { fromWire, plainOf, type State, toWire, UNKNOWN, withType } from "./values.ts";

const [, , provider = ""] = process.argv;
const declared = readDeclared(process.env.SPILLWAY_TERRAFORM ?? "");
/** gcloud names a revision if it is asked for a tag; Terraform would take the name away. */
declared
  .get("google_cloud_run_v2_service")
  ?.blocks.get("template")
  ?.attributes.set("revision", { isComputed: false });
declared.get("google_cloud_run_v2_service")?.attributes.set("uri", { isComputed: true });

const STRING = Buffer.from('"string"');
const DYNAMIC = Buffer.from('"dynamic"');
const LIST = 2;

const blockToWire = ({ attributes, blocks }: Block): object => ({
  attributes: [...attributes].map(([name, { isComputed: computed }]) => ({
    ...{ name, computed, optional: !computed },
    type: computed ? STRING : DYNAMIC,
  })),
  block_types: [...blocks].map(([type_name, block]) => ({
    type_name,
    nesting: LIST,
    block: blockToWire(block),
  })),
});

const blockOf = (type: string): Block => declared.get(type) as Block;
const plain = (state: State | null): Attributes =>
  Object.fromEntries(Object.entries(state ?? {}).map(([name, value]) => [name, plainOf(value)]));
const isMember = (type: string) => type.endsWith("_iam_member");

/** The state after the API's answer: the attributes that only the provider sets are filled in. */
function filled(type: string, state: State, answer: Attributes): State {
  const next = { ...state };
  const one = plain(state);
  const known: Attributes = { ...answer, ...PLACES[type]?.computed?.(answer, one) };
  for (const [name, { isComputed }] of blockOf(type).attributes)
    if (isComputed) next[name] = `${known[name] ?? ""}`;
  next.id = `${answer.name ?? known.database_id ?? known.id ?? Object.values(one).join(" ")}`;
  return next;
}

/** Where an existing one is asked for. */
function urlOf(type: string, state: State): string {
  const one = plain(state);
  const place = PLACES[type];
  const known = { ...one, name: one.id, project: { id: one.id } };
  if (place?.url) return place.url(known, type === "google_project_service" ? one : known);
  const { origin, pathname } = new URL(place?.create(one) ?? "");
  const [version = ""] = pathname.split("/").slice(1);
  return `${origin}/${version === "storage" ? "" : `${version}/`}${one.id}`;
}

async function create(type: string, state: State): Promise<State> {
  const one = plain(state);
  const place = PLACES[type];
  if (isMember(type)) await withPolicy(type, one, true);
  if (place === undefined) return filled(type, state, {});
  const url = place.create(one);
  const id = new URL(url).pathname.replace(/^\/v\d+\//, "");
  // An API that takes no ?…Id= takes the whole name.
  const named = /queues|jobs/.test(id) ? { name: `${id}/${one.name}` } : {};
  const body = place.body?.(one) ?? { ...toBody(one, blockOf(type)), ...named };
  return filled(type, state, await ask("POST", url, body));
}

async function update(type: string, before: State, state: State): Promise<State> {
  if (isMember(type)) {
    await withPolicy(type, plain(before), false);
    await withPolicy(type, plain(state), true);
  } else if (PLACES[type]) await ask("PATCH", urlOf(type, before), toBody(plain(state), blockOf(type)));
  return state;
}

async function destroy(type: string, state: State): Promise<void> {
  if (isMember(type)) await withPolicy(type, plain(state), false);
  else if (PLACES[type] && !PLACES[type].stays) await ask("DELETE", urlOf(type, state));
}

/** What the API has now; null: it is gone. Only what is sent is compared. */
async function read(type: string, state: State): Promise<State | null> {
  const place = PLACES[type];
  if (place === undefined || place.body !== undefined || place.stays) return state;
  const answer = await ask("GET", urlOf(type, state)).catch((error: unknown) => {
    if (error instanceof HttpFailed && error.status === 404) return undefined;
    throw error;
  });
  if (answer === undefined) return null;
  const block = blockOf(type);
  const sent = toBody(plain(state), block);
  const next = { ...state };
  const there = fromBody(answer, block);
  const here = fromBody(sent, block);
  for (const name of [...block.attributes.keys(), ...block.blocks.keys()]) {
    const isOurs = here[name] !== undefined || type === "google_cloud_run_v2_service";
    const isKept = ["id", "project", "location", "name", "uri", "deletion_protection"].includes(name);
    if (isOurs && !isKept && !isDeepStrictEqual(json(there[name]), json(here[name])))
      next[name] = withType(there[name]);
  }
  return next;
}

const json = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));

type Call = {
  request: Record<string, { msgpack: Uint8Array } & { json: Uint8Array }> & { type_name: string };
};
type Reply = (error: null, answer: object) => void;
const wire = (state: State | null) => ({ msgpack: Buffer.from(toWire(state)) });
const stateIn = (value: { msgpack: Uint8Array } | undefined) =>
  value?.msgpack?.length ? fromWire(value.msgpack) : null;

/** Answers with an error in Terraform's form, if there is one. */
function answer(work: (request: Call["request"]) => Promise<object> | object) {
  return ({ request }: Call, reply: Reply) =>
    void Promise.resolve()
      .then(() => work(request))
      .catch((error: Error) => ({ diagnostics: [{ severity: 1, summary: error.message }] }))
      .then((done) => reply(null, done));
}

function plan({ type_name: type, prior_state, proposed_new_state }: Call["request"]): object {
  const proposed = stateIn(proposed_new_state);
  if (proposed !== null && stateIn(prior_state) === null)
    for (const [name, { isComputed }] of blockOf(type).attributes) if (isComputed) proposed[name] = UNKNOWN;
  return { planned_state: wire(proposed), legacy_type_system: true };
}

async function apply({ type_name: type, prior_state, planned_state }: Call["request"]): Promise<object> {
  const before = stateIn(prior_state);
  const planned = stateIn(planned_state);
  const done = { legacy_type_system: true };
  try {
    if (planned === null) await destroy(type, before as State);
    const state = planned && (before ? await update(type, before, planned) : await create(type, planned));
    return { ...done, new_state: wire(state) };
  } catch (error) {
    const diagnostics = [{ severity: 1, summary: `${type}: ${(error as Error).message}` }];
    return { ...done, new_state: wire(before), diagnostics };
  }
}

const types = [...declared].filter(([type]) => type.startsWith(`${provider}_`));
const service = {
  GetSchema: answer(() => ({
    provider: {
      block: blockToWire(
        declared.get(`provider ${provider}`) ?? { attributes: new Map(), blocks: new Map() },
      ),
    },
    resource_schemas: Object.fromEntries(types.map(([type, block]) => [type, { block: blockToWire(block) }])),
  })),
  PrepareProviderConfig: answer(({ config }) => ({ prepared_config: config })),
  ValidateResourceTypeConfig: answer(() => ({})),
  UpgradeResourceState: answer(({ raw_state }) => ({ upgraded_state: { json: raw_state?.json } })),
  Configure: answer(() => ({})),
  ReadResource: answer(async ({ type_name: type, current_state }) => {
    const state = stateIn(current_state);
    return { new_state: wire(state && (await read(type, state))) };
  }),
  PlanResourceChange: answer(plan),
  ApplyResourceChange: answer(apply),
  Stop: answer(() => ({})),
};

interface Loaded {
  tfplugin5: { Provider: { service: grpc.ServiceDefinition } };
  plugin: { GRPCController: { service: grpc.ServiceDefinition } };
}
const files = ["plugin.proto", "controller.proto"].map((name) =>
  fileURLToPath(new URL(name, import.meta.url)),
);
const proto = loader.loadSync(files, { keepCase: true, longs: Number });
const { tfplugin5, plugin } = grpc.loadPackageDefinition(proto) as unknown as Loaded;
/** Ends this process once it has said so. */
const Shutdown = (_: unknown, reply: Reply) => {
  reply(null, {});
  setTimeout(() => process.exit(0), 10);
};
const server = new grpc.Server({ "grpc.max_receive_message_length": -1 });
server.addService(tfplugin5.Provider.service, service as unknown as grpc.UntypedServiceImplementation);
server.addService(plugin.GRPCController.service, { Shutdown });
server.bindAsync("127.0.0.1:0", grpc.ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  process.stdout.write(`1|5|tcp|127.0.0.1:${port}|grpc|\n`);
});
process.on("SIGINT", () => {}); // Ctrl-C is for Terraform
const parent = process.ppid;
setInterval(() => process.ppid !== parent && process.exit(0), 500);
