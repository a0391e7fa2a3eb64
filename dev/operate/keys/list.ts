/** `spillway keys list`: every key that there ever was, without the keys themselves. */
import { keyList, type ListedKey } from "../../../lib/contract/keys.ts";
import { isInternal } from "../../../lib/schema/registry.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printTable } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

export const list = action({
  about: "lists the keys that were made, with what they may do",
  options: { ...jsonOption, ...supervisorOptions },
  async run({ values }) {
    const supervisor = await findSupervisor(values);
    const found = bodyOf(await supervisor.ask("GET", "/keys"), keyList);
    if (values.json) console.log(JSON.stringify(found));
    else print(found.keys);
    return 0;
  },
});

/** Each build has one for some seconds (deploy/smoke-test.sh), and there are many builds. */
const isOldSmokeTest = ({ state, streams }: ListedKey): boolean =>
  state !== "live" && streams !== null && streams.every(isInternal);

function print(all: readonly ListedKey[]): void {
  const keys = all.filter((one) => !isOldSmokeTest(one));
  if (keys.length === 0) {
    console.log(
      "No keys were made (those of INGEST_API_KEYS are not listed): npx spillway keys create NAME.",
    );
    return;
  }
  printTable(
    ["name", "digest", "state", "kind", "streams", "events/s", "origins", "created", "expires", "revoked"],
    keys.map((one) => [
      ...[one.name, one.digest, one.state, one.kind, one.streams?.join(",") ?? "all"],
      ...[one.eventsPerSecond, one.origins.join(",") || null],
      ...[day(one.createdAt), day(one.expiresAt), day(one.revokedAt)],
    ]),
  );
}

const day = (moment: string | null): string | null => moment?.slice(0, 10) ?? null;
