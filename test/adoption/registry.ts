/** An npm registry of this machine, which has what the test publishes. It sends whoever asks for anything else to npm's own. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";
import type { Place } from "./installed.ts";

interface Version {
  name: string;
  version: string;
}

export class Registry {
  readonly #place: Place;
  readonly #elsewhere: string;
  readonly #server = createServer((req, res) => this.#answer(req.url ?? "/", res));
  readonly #versions: Version[] = [];
  readonly #files = new Map<string, Buffer>();

  static async serve(place: Place): Promise<Registry> {
    const registry = new Registry(place, await place.run(place.folder, "npm", ["config", "get", "registry"]));
    await once(registry.#server.listen(0, "127.0.0.1"), "listening");
    return registry;
  }

  private constructor(place: Place, elsewhere: string) {
    this.#place = place;
    this.#elsewhere = elsewhere.trim().replace(/\/$/, "");
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async publish(tarball: string): Promise<void> {
    const file = readFileSync(tarball);
    const args = ["-xzOf", tarball, "package/package.json"];
    const declared = JSON.parse(await this.#place.run(this.#place.folder, "tar", args)) as Version;
    const integrity = `sha512-${createHash("sha512").update(file).digest("base64")}`;
    const dist = { tarball: `${this.url}/files/${basename(tarball)}`, integrity };
    this.#versions.push({ ...declared, ...{ dist } });
    this.#files.set(`/files/${basename(tarball)}`, file);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #answer(path: string, res: ServerResponse): void {
    const file = this.#files.get(path);
    if (file) return void res.end(file);
    const own = this.#versions.filter(({ name }) => path === `/${name}`);
    if (own.length === 0) return void res.writeHead(302, { location: `${this.#elsewhere}${path}` }).end();
    const versions = Object.fromEntries(own.map((one) => [one.version, one]));
    const latest = own.at(-1)?.version;
    res.setHeader("content-type", "application/json");
    res.end(JSON.stringify({ name: own[0]?.name, "dist-tags": { latest }, versions }));
  }
}
