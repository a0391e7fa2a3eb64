/** The streams: what waits and how old it is, what was stored, what is dead, and pause, resume and drain. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { PAUSE_DEFAULT, WHY_MAX } from "../../../../lib/contract/pause-length.ts";
import type { StatusReport } from "../../../../lib/contract/status.ts";
import type { UsageReport } from "../../../../lib/contract/usage.ts";
import { act, drainNow, pause, resume } from "../act.ts";
import { type Paused, pausedIn, waitingOf } from "../model/live-state.ts";
import { type Use, usageBy } from "../model/usage.ts";
import { sayPaused } from "../model/verdict.ts";
import { clockOf, countOf, numberOf, spanOf } from "../phrases.ts";
import { askSupervisor } from "../server.ts";
import { about, live, supervisorMs } from "../state.ts";
import { Button } from "./button.tsx";
import { Panel } from "./panel.tsx";
import { Scroll } from "./scroll.tsx";

export function Streams() {
  const names = live.value.hello?.streams ?? [];
  return (
    <Panel id="streams" title="Streams" note={countOf(names.length, "stream")}>
      <StreamTable names={names} />
    </Panel>
  );
}

function StreamTable({ names }: { names: readonly string[] }) {
  const status = useSignal<StatusReport | null>(null);
  const usage = useSignal<readonly Use[] | null>(null);
  const read = () =>
    act(async () => {
      const [told, used] = await Promise.all([
        askSupervisor<StatusReport>("GET", "/status"),
        askSupervisor<UsageReport>("GET", "/usage"),
      ]);
      status.value = told;
      usage.value = usageBy("stream", used.hours);
      return "";
    });
  // Locally it costs nothing. In production it wakes Postgres, so somebody has to ask for it.
  useEffect(() => {
    if (about.value?.isProd === false) void read();
  }, []);
  const paused = new Map(pausedIn(live.value, supervisorMs.value).map((one) => [one.stream, one]));
  const since = live.value.hello?.sinceAt;
  return (
    <>
      <Scroll label="Streams">
        <table>
          <caption>
            Drained: stored by the drain since {since === undefined ? "…" : clockOf(since)}
            {live.value.missed > 0 && ", at least"}. Accepted and rejected: in the 24 hours before the button
            below was pressed; the last minute may be missing.
          </caption>
          <thead>
            <tr>
              <th scope="col">Stream</th>
              {["Accepted", "Rejected", "Waiting", "Oldest", "Drained", "Dead"].map((title) => (
                <th key={title} scope="col" class="number">
                  {title}
                </th>
              ))}
              <th scope="col">Table</th>
              <th scope="col">Actions</th>
            </tr>
          </thead>
          <tbody>
            {names.map((name) => (
              <Row
                key={name}
                name={name}
                paused={paused.get(name)}
                status={status.value}
                usage={usage.value}
              />
            ))}
          </tbody>
        </table>
      </Scroll>
      <div class="row">
        <Button run={read}>Read tables, dead letters and usage</Button>
        <Button run={() => drainNow(null)} writes>
          Drain all now
        </Button>
      </div>
    </>
  );
}

interface RowProps {
  name: string;
  paused: Paused | undefined;
  status: StatusReport | null;
  usage: readonly Use[] | null;
}

function Row({ name, paused, status, usage }: RowProps) {
  const used = usage?.find((one) => one.name === name);
  const told = status?.streams.find(({ stream }) => stream === name);
  const waiting = live.value.waiting?.find(({ stream }) => stream === name);
  const oldest = waiting?.oldestReceivedAt ?? null;
  const letters = live.value.letters?.find(({ stream }) => stream === name)?.dead;
  const dead = live.value.letters ? (letters ?? 0) : (told?.deadLetters ?? null);
  const differences = told?.tableDifferences;
  return (
    <tr>
      <th scope="row">{name}</th>
      <td class="number">{usage === null ? "–" : numberOf(used?.accepted ?? 0)}</td>
      <td class="number">{usage === null ? "–" : numberOf(used?.rejected ?? 0)}</td>
      <td class="number">{live.value.waiting === null ? "?" : numberOf(waitingOf(live.value, name))}</td>
      <td class="number">{oldest === null ? "–" : spanOf(supervisorMs.value - Date.parse(oldest))}</td>
      <td class="number">{numberOf(live.value.stored.get(name) ?? 0)}</td>
      <td class="number">{dead === null ? "–" : numberOf(dead)}</td>
      <td class="text">
        {differences == null ? "–" : differences.length === 0 ? "as declared" : differences.join("; ")}
      </td>
      <td>
        <PauseButtons name={name} paused={paused} />
      </td>
    </tr>
  );
}

const LENGTHS = ["15min", PAUSE_DEFAULT, "4h", "24h"];

function PauseButtons({ name, paused }: { name: string; paused: Paused | undefined }) {
  const isAsking = useSignal(false);
  const length = useSignal<string>(PAUSE_DEFAULT);
  const why = useSignal("");
  const begin = async () => {
    if (await pause(name, length.value, why.value)) isAsking.value = false;
  };
  if (paused !== undefined)
    return (
      <div class="row">
        <span>{sayPaused(paused)}</span>
        {!paused.isInEnvironment && (
          <Button run={() => resume(name)} writes label={`Resume ${name}`}>
            Resume
          </Button>
        )}
      </div>
    );
  return (
    <div class="row">
      <Button run={() => drainNow(name)} writes label={`Drain ${name} now`}>
        Drain
      </Button>
      <button
        type="button"
        aria-expanded={isAsking.value}
        aria-label={`Pause ${name} …`}
        onClick={() => (isAsking.value = !isAsking.value)}
      >
        Pause …
      </button>
      {isAsking.value && (
        <>
          <label>
            for{" "}
            <select value={length.value} onChange={(event) => (length.value = event.currentTarget.value)}>
              {LENGTHS.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
          <label>
            why{" "}
            <input
              maxLength={WHY_MAX}
              value={why.value}
              onInput={(event) => (why.value = event.currentTarget.value)}
            />
          </label>
          <Button run={begin} writes primary label={`Pause ${name}`}>
            Pause
          </Button>
        </>
      )}
    </div>
  );
}
