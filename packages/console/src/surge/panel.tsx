/**
 * The Traffic Surge Simulator: a slider for the rate, and direct inserts beside Spillway as they fare under it. Only locally: the console's
 * own server runs it on the servers of `npm start`, in databases of its own.
 */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { SurgeMode } from "../../../../lib/contract/surge.ts";
import { Button } from "../panels/button.tsx";
import { Panel } from "../panels/panel.tsx";
import { numberOf } from "../phrases.ts";
import { Charts } from "./charts.tsx";
import { Figures } from "./figures.tsx";
import { begin, followSurge, stop, surge, trouble } from "./follow-surge.ts";

const RATE_STEP = 50;

export function Surge() {
  return (
    <Panel
      id="surge"
      title="Traffic surge"
      note={surge.value.isRunning ? "runs" : "direct inserts beside Spillway"}
    >
      <Inside />
    </Panel>
  );
}

function Inside() {
  useEffect(() => followSurge(), []);
  const { isRunning, step, calibrated, ended, ramp } = surge.value;
  const doing = ramp === undefined ? step : `${step} Now ${numberOf(ramp.rate)} a second.`;
  return (
    <>
      <Controls />
      <p id="surge-doing" role="status">
        {trouble.value || (isRunning ? doing : (ended?.text ?? "No surge has run since the start."))}
      </p>
      {calibrated && <p id="surge-machine">{calibrated.text}</p>}
      <Charts />
      <Figures />
    </>
  );
}

function Controls() {
  const rate = useSignal(2000);
  const seconds = useSignal(20);
  const mode = useSignal<SurgeMode>("both");
  const { hello, isRunning } = surge.value;
  const { rateMin = 50, rateMax = 5000, secondsMin = 5, secondsMax = 60 } = hello ?? {};
  const wanted = () => ({ rate: rate.value, seconds: seconds.value, mode: mode.value });
  return (
    <div class="row">
      <label class="slider">
        Requests a second{" "}
        <input
          id="surge-rate"
          type="range"
          min={rateMin}
          max={rateMax}
          step={RATE_STEP}
          value={rate.value}
          disabled={isRunning}
          onInput={(event) => {
            rate.value = event.currentTarget.valueAsNumber;
          }}
        />{" "}
        <output for="surge-rate">{numberOf(rate.value)}</output>
      </label>
      <label>
        for{" "}
        <input
          id="surge-seconds"
          type="number"
          min={secondsMin}
          max={secondsMax}
          value={seconds.value}
          disabled={isRunning}
          onInput={(event) => {
            seconds.value = event.currentTarget.valueAsNumber;
          }}
        />{" "}
        seconds
      </label>
      <label>
        into{" "}
        <select
          id="surge-mode"
          value={mode.value}
          disabled={isRunning}
          onChange={(event) => {
            mode.value = event.currentTarget.value as SurgeMode;
          }}
        >
          <option value="both">both in turns</option>
          <option value="direct">direct inserts</option>
          <option value="buffer">Spillway</option>
        </select>
      </label>
      {isRunning ? (
        <Button run={stop}>Stop</Button>
      ) : (
        <Button run={() => begin(wanted())} primary>
          Start
        </Button>
      )}
    </div>
  );
}
