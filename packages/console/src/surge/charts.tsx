/** Two charts of the surge: answers a second against what is offered, and the p99. The table below tells the same figures. */
import type { ComponentChildren } from "preact";
import type { SurgeSecond } from "../../../../lib/contract/surge.ts";
import { numberOf } from "../phrases.ts";
import { surge } from "./follow-surge.ts";
import { TARGETS } from "./surge-state.ts";
import { DECADES, HEIGHT, linear, logarithmic, pointsOf, WIDTH } from "./trace.ts";

export function Charts() {
  const { turns, request } = surge.value;
  const lengths = TARGETS.map((target) => turns[target]?.seconds.length ?? 0);
  if (request === null || Math.max(...lengths) === 0) return null;
  const secondsMax = Math.max(request.seconds, ...lengths);
  const highest = Math.max(
    request.rate,
    ...TARGETS.flatMap((target) => (turns[target]?.seconds ?? []).map(({ answered }) => answered)),
  );
  return (
    <div class="charts">
      <Chart
        title={`Answers a second, of ${numberOf(request.rate)} offered`}
        top={numberOf(highest)}
        bottom="0"
      >
        <line
          class="offered"
          x1="0"
          x2={WIDTH}
          y1={HEIGHT - linear(highest)(request.rate) * HEIGHT}
          y2={HEIGHT - linear(highest)(request.rate) * HEIGHT}
        />
        <Lines of={({ answered }) => answered} secondsMax={secondsMax} heightOf={linear(highest)} />
      </Chart>
      <Chart title="p99, a line for each factor of ten" top="100 s" bottom="1 ms">
        {[1, 2, 3, 4].map((decade) => (
          <line
            key={decade}
            class="grid"
            x1="0"
            x2={WIDTH}
            y1={(decade * HEIGHT) / DECADES}
            y2={(decade * HEIGHT) / DECADES}
          />
        ))}
        <Lines of={({ p99Ms }) => p99Ms} secondsMax={secondsMax} heightOf={logarithmic} />
      </Chart>
    </div>
  );
}

interface LinesProps {
  of(second: SurgeSecond): number | null;
  secondsMax: number;
  heightOf(value: number): number;
}

function Lines({ of, secondsMax, heightOf }: LinesProps) {
  return TARGETS.map((target) =>
    pointsOf((surge.value.turns[target]?.seconds ?? []).map(of), secondsMax, heightOf).map((points, i) => (
      <polyline key={`${target}${i}`} class={target} points={points} />
    )),
  );
}

interface ChartProps {
  title: string;
  top: string;
  bottom: string;
  children: ComponentChildren;
}

function Chart({ title, top, bottom, children }: ChartProps) {
  return (
    <figure class="surge-chart">
      <figcaption>
        {title} <span class="key direct">direct</span> <span class="key buffer">Spillway</span>
      </figcaption>
      <div class="plot">
        <span class="note top">{top}</span>
        <svg viewBox={`0 0 ${WIDTH} ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          {children}
        </svg>
        <span class="note bottom">{bottom}</span>
      </div>
    </figure>
  );
}
