/** Who sends: usage by key, the last refusals, and the health of webhook sources. It asks when it is opened, and by its button. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { StatusReport } from "../../../../lib/contract/status.ts";
import type { RefusalsReport, UsageReport } from "../../../../lib/contract/usage.ts";
import { act } from "../act.ts";
import { type Use, usageBy } from "../model/usage.ts";
import { clockOf, numberOf } from "../phrases.ts";
import { askSupervisor } from "../server.ts";
import { live } from "../state.ts";
import { Button } from "./button.tsx";
import { Panel } from "./panel.tsx";
import { Scroll } from "./scroll.tsx";

export function Senders() {
  return (
    <Panel id="senders" title="Keys, refusals, webhooks">
      <Inside />
    </Panel>
  );
}

/** All requests that named no known stream, or showed no known key. */
const NO_STREAM = "";

function Inside() {
  const usage = useSignal<readonly Use[] | null>(null);
  const status = useSignal<StatusReport | null>(null);
  const read = () =>
    act(async () => {
      const [used, told] = await Promise.all([
        askSupervisor<UsageReport>("GET", "/usage"),
        askSupervisor<StatusReport>("GET", "/status"),
      ]);
      usage.value = usageBy("key", used.hours);
      status.value = told;
      return "";
    });
  useEffect(() => void read(), []);
  const webhooks = (status.value?.streams ?? []).flatMap(({ stream, webhooks = [] }) =>
    webhooks.map((one) => ({ stream, ...one })),
  );
  return (
    <>
      <Usage rows={usage.value} />
      <Refusals />
      {webhooks.length > 0 && <Webhooks rows={webhooks} />}
      <Button run={read}>Read again</Button>
    </>
  );
}

function Usage({ rows }: { rows: readonly Use[] | null }) {
  if (rows === null) return <p class="note">Reading …</p>;
  return (
    <Scroll label="Usage by key">
      <table id="usage">
        <caption>
          {rows.length === 0 ? "Nobody has sent anything in 24 hours." : "Usage by key, in 24 hours"}
        </caption>
        <thead>
          <tr>
            <th scope="col">Key</th>
            {["Accepted", "Rejected", "Throttled", "Shed", "kB"].map((name) => (
              <th key={name} scope="col" class="number">
                {name}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ name, accepted, rejected, throttled, shed, bytes }) => (
            <tr key={name}>
              <th scope="row">{name ?? "(no known key)"}</th>
              {[accepted, rejected, throttled, shed, bytes / 1000].map((count, i) => (
                <td key={i} class="number">
                  {numberOf(count)}
                </td>
              ))}
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

function Refusals() {
  const stream = useSignal(NO_STREAM);
  const report = useSignal<RefusalsReport | null>(null);
  const read = (name: string) =>
    act(async () => {
      stream.value = name;
      const query = name === NO_STREAM ? "" : `?stream=${encodeURIComponent(name)}`;
      report.value = await askSupervisor<RefusalsReport>("GET", `/refusals${query}`);
      return "";
    });
  useEffect(() => void read(NO_STREAM), []);
  const refusals = report.value?.refusals ?? [];
  return (
    <>
      <div class="row">
        <label>
          Refusals of{" "}
          <select value={stream.value} onChange={(event) => read(event.currentTarget.value)}>
            <option value={NO_STREAM}>no known stream or key</option>
            {(live.value.hello?.streams ?? []).map((name) => (
              <option key={name} value={name}>
                {name}
              </option>
            ))}
          </select>
        </label>
      </div>
      {refusals.length === 0 ? (
        <p class="note">Nothing was refused.</p>
      ) : (
        <ul id="refusals">
          {refusals.slice(0, 20).map(({ at, key, code, path, message, requestId }) => (
            <li key={`${requestId} ${path} ${at}`}>
              {clockOf(at, "seconds")} <code>{code}</code> {key ?? "no known key"}
              {path !== "" && `, ${path}`}: {message}
            </li>
          ))}
        </ul>
      )}
    </>
  );
}

type Webhook = { stream: string } & NonNullable<StatusReport["streams"][number]["webhooks"]>[number];

function Webhooks({ rows }: { rows: readonly Webhook[] }) {
  return (
    <Scroll label="Webhooks">
      <table>
        <caption>Webhooks since counting began</caption>
        <thead>
          <tr>
            <th scope="col">Source</th>
            <th scope="col">Signature right</th>
            <th scope="col">Signature wrong</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(({ stream, source, good, lastGoodAt, failed, lastFailedAt }) => (
            <tr key={`${stream}/${source}`}>
              <th scope="row">
                {stream}/{source}
              </th>
              <td>{told(good, lastGoodAt)}</td>
              <td class={failed > 0 ? "wrong" : undefined}>{told(failed, lastFailedAt)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scroll>
  );
}

const told = (count: number, lastAt: string | null): string =>
  lastAt === null ? numberOf(count) : `${numberOf(count)}, last ${clockOf(lastAt, "seconds")}`;
