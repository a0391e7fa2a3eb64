/** What exists in the rehearsal's cloud, by its full name, and who may do what with it: IAM policies of single resources. */

export type Resource = Record<string, unknown> & { name: string };

interface Binding {
  role: string;
  members: string[];
}

/** An API's answer that is no success. */
export class Refused extends Error {
  readonly status: number;
  readonly reason: string;

  constructor(status: number, message: string, reason = "") {
    super(message);
    this.status = status;
    this.reason = reason;
  }
}

export class Resources {
  readonly #all = new Map<string, Resource>();
  readonly #policies = new Map<string, Binding[]>();

  get names(): string[] {
    return [...this.#all.keys()];
  }

  find(name: string): Resource | undefined {
    return this.#all.get(name);
  }

  get(name: string): Resource {
    const found = this.#all.get(name);
    if (found === undefined) throw new Refused(404, `${name} was not found`, "NOT_FOUND");
    return found;
  }

  /** Those directly below a collection. */
  list(collection: string): Resource[] {
    const isDirect = (name: string) => name.slice(0, name.lastIndexOf("/")) === collection;
    return [...this.#all.values()].filter(({ name }) => isDirect(name));
  }

  create(resource: Resource): Resource {
    if (this.#all.has(resource.name)) throw new Refused(409, `${resource.name} exists`, "ALREADY_EXISTS");
    this.#all.set(resource.name, resource);
    return resource;
  }

  /** Deletes it with all that is below. */
  delete(name: string): void {
    this.get(name);
    for (const one of this.names)
      if (one === name || one.startsWith(`${name}/`)) {
        this.#all.delete(one);
        this.#policies.delete(one);
      }
  }

  policyOf(name: string): Binding[] {
    return this.#policies.get(name) ?? [];
  }

  setPolicy(name: string, bindings: Binding[]): void {
    this.#policies.set(name, bindings);
  }

  /** Whether a member, or everybody, has one of these roles on the resource itself. */
  has(name: string, email: string | undefined, ...roles: string[]): boolean {
    return this.policyOf(name).some(
      ({ role, members }) =>
        roles.includes(role) &&
        (members.includes("allUsers") ||
          (email !== undefined && members.some((one) => one.endsWith(`:${email}`)))),
    );
  }
}
