/** One chart by uPlot: it follows its width and the light or dark theme, and says its newest values to screen readers in its caption. */
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { clockOf } from "../phrases.ts";

export interface ChartLine {
  name: string;
  /** The custom property of its colour. */
  colour: string;
  /** On the axis to the right. */
  isRight?: boolean;
  /** Filled down to zero, so that it is seen behind another line. */
  isArea?: boolean;
  points: (number | null)[];
}

interface Props {
  id: string;
  label: string;
  caption: string;
  atSeconds: number[];
  lines: readonly ChartLine[];
}

const HEIGHT = 170;

export function Chart({ id, label, caption, atSeconds, lines }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const chart = useRef<uPlot>(undefined);
  const data = [atSeconds, ...lines.map(({ points }) => points)] as uPlot.AlignedData;
  useEffect(() => {
    const holder = place.current;
    if (holder === null) return;
    const draw = () => {
      chart.current?.destroy();
      chart.current = new uPlot(optionsOf(holder, lines), data, holder);
    };
    draw();
    const sizes = new ResizeObserver(() =>
      chart.current?.setSize({ width: holder.clientWidth, height: HEIGHT }),
    );
    sizes.observe(holder);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", draw);
    return () => {
      dark.removeEventListener("change", draw);
      sizes.disconnect();
      chart.current?.destroy();
    };
  }, []);
  useEffect(() => chart.current?.setData(data));
  return (
    <figure id={id}>
      <div ref={place} role="img" aria-label={`${label}. ${caption}`} />
      <figcaption>
        {lines.map(({ name }, i) => (
          <span key={name} class={`key line-${i} ${id}`}>
            {name}{" "}
          </span>
        ))}
        <span class="note">{caption}</span>
      </figcaption>
    </figure>
  );
}

function optionsOf(holder: HTMLElement, lines: readonly ChartLine[]): uPlot.Options {
  const style = getComputedStyle(holder);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = {
    stroke: colour("--faint"),
    grid: { stroke: colour("--line"), width: 1 },
    ticks: { show: false },
    size: 46,
  };
  const hasRight = lines.some(({ isRight }) => isRight);
  return {
    width: holder.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: { y: { range: fromZero }, right: { range: fromZero } },
    axes: [
      { ...axis, size: 24, space: 80, values: clocks },
      axis,
      ...(hasRight ? [{ ...axis, scale: "right", side: 1, grid: { show: false } }] : []),
    ],
    series: [
      {},
      ...lines.map(({ name, colour: property, isRight, isArea }) => ({
        label: name,
        scale: isRight ? "right" : "y",
        stroke: colour(property),
        ...(isArea ? { fill: `${colour(property)}40`, width: 1 } : { width: 2 }),
        points: { show: false },
      })),
    ],
  };
}

const clocks: uPlot.Axis.DynamicValues = (_, atSeconds, _axis, _space, everySeconds) =>
  atSeconds.map((at) => clockOf(at * 1000, everySeconds < 60 ? "seconds" : "minutes"));

const fromZero = (_: uPlot, __: number | null, max: number | null): [number, number] => [
  0,
  Math.max(1, (max ?? 0) * 1.1),
];
