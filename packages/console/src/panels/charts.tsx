/** Two charts over 15 minutes: what waits and how old it is; what comes in and goes out per second. */

import { pausedIn, waitingOf } from "../model/live-state.ts";
import { sumOf } from "../model/seconds.ts";
import { type Forecast, forecastOf, seriesOf } from "../model/series.ts";
import { clockOf, countOf, numberOf, spanOf } from "../phrases.ts";
import { live, supervisorMs } from "../state.ts";
import { Chart } from "./chart.tsx";
import { Panel } from "./panel.tsx";

export function Charts() {
  const { hello } = live.value;
  const note = hello === undefined ? undefined : `history since ${clockOf(hello.sinceAt)}`;
  return (
    <Panel id="charts" title="The last 15 minutes" {...(note === undefined ? {} : { note })}>
      <Both />
    </Panel>
  );
}

function Both() {
  const { buckets, hello } = live.value;
  if (hello === undefined) return <p class="note">Asking …</p>;
  const series = seriesOf(buckets, Date.parse(hello.sinceAt), supervisorMs.value);
  const hasPaused = pausedIn(live.value, supervisorMs.value).some(
    ({ stream }) => waitingOf(live.value, stream) > 0,
  );
  const forecast = forecastOf(series, buckets, hello.capacityBytes, hasPaused);
  const { atSeconds, waiting, oldest, inPerSecond, outPerSecond, waitingNow } = series;
  const { oldestAtMs } = sumOf(live.value.waiting ?? []);
  return (
    <div class="charts">
      <Chart
        id="chart-waiting"
        label="Events waiting, and the age of the oldest in seconds, over 15 minutes"
        caption={`${sayWaiting(waitingNow)}${oldestAtMs === null ? "" : `, the oldest for ${spanOf(supervisorMs.value - oldestAtMs)}`}.`}
        atSeconds={atSeconds}
        lines={[
          { name: "waiting", colour: "--in", points: waiting },
          { name: "oldest (s)", colour: "--age", isRight: true, points: oldest },
        ]}
      />
      <Chart
        id="chart-rates"
        label="Events in and out of the buffer per second, over 15 minutes"
        caption={`In ${sayRate(inPerSecond)}, out ${sayRate(outPerSecond)} per second${sayForecast(forecast)}.`}
        atSeconds={atSeconds}
        lines={[
          { name: "in", colour: "--in", isArea: true, points: inPerSecond },
          { name: "out", colour: "--out", points: outPerSecond },
        ]}
      />
    </div>
  );
}

const sayWaiting = (count: number | null | undefined): string =>
  count == null ? "Not known" : count === 0 ? "Nothing waits" : `${countOf(count, "event")} waiting`;

/** Of the last bucket that is over. */
const sayRate = (points: readonly (number | null)[]): string => {
  const point = points.at(-2);
  return point == null ? "?" : numberOf(point);
};

function sayForecast({ kind, inMs = 0 }: Forecast): string {
  if (kind === "empty") return `; empty in ${spanOf(inMs)} at this rate`;
  return kind === "full" ? `; full in ${spanOf(inMs)} at this rate` : "";
}
