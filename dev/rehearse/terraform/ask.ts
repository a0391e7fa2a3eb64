/** Asks an API as the person who deploys, and changes policies. */
import { policyUrl } from "./rest.ts";

export type Attributes = Record<string, unknown>;

export class HttpFailed extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Returns the JSON of a success; throws HttpFailed. */
export async function ask(method: string, url: string, body?: unknown): Promise<Attributes> {
  const token = process.env.GOOGLE_OAUTH_ACCESS_TOKEN;
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const answer = await fetch(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  const text = await answer.text();
  if (!answer.ok) throw new HttpFailed(answer.status, `${method} ${url} answered ${answer.status}: ${text}`);
  return JSON.parse(text) as Attributes;
}

/** One change of a policy at a time: it is read, changed and written. */
let last: Promise<unknown> = Promise.resolve();

/** Adds a member to a policy, or takes it out. */
export function withPolicy(type: string, one: Attributes, isMember: boolean): Promise<void> {
  const done = last.then(async () => {
    const { read, write } = policyUrl(type, one);
    const isStorage = read === write;
    const { bindings } = (await ask("GET", read)) as { bindings: { role: string; members: string[] }[] };
    const others = bindings.filter(({ role, members }) => role !== one.role || members[0] !== one.member);
    const mine = isMember ? [{ role: one.role, members: [one.member] }] : [];
    const policy = { bindings: [...others, ...mine] };
    await ask(isStorage ? "PUT" : "POST", write, isStorage ? policy : { policy });
  });
  last = done.catch(() => {});
  return done;
}
