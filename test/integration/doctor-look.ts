/** The doctor for tests: over HTTP, of a supervisor of a world. */
import { expect } from "vitest";
import type { SupervisorDeps } from "../../functions/supervisor.ts";
import type { DoctorDeps, DoctorSettings } from "../../lib/operate/doctor.ts";
import { serveKeyCommands } from "./key-commands.ts";
import type { World } from "./test-stack.ts";

interface Check {
  check: string;
  group: string;
  result: string;
  seen: string;
  means: string;
  do: string;
}

interface More {
  /** In place of the world's: also the same with another query, for which the bridge has no session yet. */
  databaseUrl?: string;
  doctor?: Partial<DoctorDeps>;
  settings?: Partial<DoctorSettings>;
  supervisor?: Partial<SupervisorDeps>;
}

/** Serves a supervisor of its own; `close` it after its last test. */
export async function serveDoctor(
  world: World,
  { databaseUrl, doctor = {}, settings = {}, supervisor = {} }: More = {},
) {
  const own = databaseUrl === undefined ? world.doctor : world.openDoctorOf(databaseUrl);
  const served = await serveKeyCommands(world, {
    doctor: { ...own, ...doctor, settings: { ...own.settings, ...settings } },
    ...supervisor,
  });

  /** Every check, each with all its sentences. */
  async function examine(): Promise<Check[]> {
    const { status, body } = await served.call("GET", "/doctor");
    expect(status).toBe(200);
    for (const { seen, means, do: cure } of body.checks)
      expect([seen, means, cure]).toEqual(
        Array(3).fill(expect.stringMatching(/^(?!.*(undefined(?! table| column)|NaN|\[object)).*\w/)),
      );
    return body.checks;
  }

  async function look(check: string): Promise<Check> {
    const found = (await examine()).find((one) => one.check === check);
    if (found === undefined) throw new Error(`expected a check ${check}`);
    return found;
  }

  /** The checks that are wrong, by their names. */
  const wrongs = async () =>
    (await examine()).filter(({ result }) => result === "wrong").map(({ check }) => check);

  return { ...served, examine, look, wrongs };
}

export type Doctor = Awaited<ReturnType<typeof serveDoctor>>;
