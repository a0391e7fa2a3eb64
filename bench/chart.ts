/** Hand-written SVG: bars for what a scenario compares, lines for what happens over time. */
import { medianOf, type Row } from "./results.ts";

const WIDTH = 760;
const LEFT = 300;
const BAR = 22;
const COLOURS = ["#c2410c", "#0f766e", "#1d4ed8", "#7c3aed"];

const escapeXml = (text: string) =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

const text = (x: number, y: number, content: string, attributes = "") =>
  `<text x="${x}" y="${y}" ${attributes}>${escapeXml(content)}</text>`;

const svg = (height: number, title: string, parts: string[]) =>
  [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    text(12, 22, title, 'font-size="15" font-weight="bold"'),
    ...parts,
    "</svg>",
    "",
  ].join("\n");

/** One bar a row, of one figure's median. */
export function barChart(title: string, rows: readonly Row[], figure: string): string {
  const bars = rows.flatMap((row) => {
    const value = medianOf(row, figure);
    return value === undefined ? [] : [{ name: row.name, value }];
  });
  const most = Math.max(1, ...bars.map(({ value }) => value));
  const parts = bars.flatMap(({ name, value }, i) => {
    const y = 40 + i * (BAR + 8);
    const width = (value / most) * (WIDTH - LEFT - 90);
    const colour = name.startsWith("Spillway") || figure === "drainCommandsPerEvent" ? COLOURS[1] : "#94a3b8";
    return [
      text(LEFT - 8, y + 15, name, 'text-anchor="end"'),
      `<rect x="${LEFT}" y="${y}" width="${width.toFixed(1)}" height="${BAR}" fill="${colour}"/>`,
      text(
        LEFT + width + 6,
        y + 15,
        value < 10 ? value.toPrecision(2) : Math.round(value).toLocaleString("en"),
      ),
    ];
  });
  return svg(50 + bars.length * (BAR + 8), title, parts);
}

export interface Line {
  name: string;
  /** One value a second; NaN leaves a gap. */
  values: readonly number[];
}

/** Lines over seconds, on a logarithmic scale. */
export function lineChart(title: string, unit: string, lines: readonly Line[]): string {
  const [top, bottom, left] = [50, 300, 60];
  const all = lines.flatMap(({ values }) => values.filter((value) => value > 0));
  const [low, high] = [Math.floor(Math.log10(Math.min(...all))), Math.ceil(Math.log10(Math.max(...all)))];
  const seconds = Math.max(...lines.map(({ values }) => values.length));
  const x = (second: number) => left + (second / Math.max(1, seconds - 1)) * (WIDTH - left - 20);
  const y = (value: number) =>
    bottom - ((Math.log10(value) - low) / Math.max(1, high - low)) * (bottom - top);
  const grid = Array.from({ length: high - low + 1 }, (_, i) => 10 ** (low + i)).flatMap((value) => [
    `<line x1="${left}" x2="${WIDTH - 20}" y1="${y(value)}" y2="${y(value)}" stroke="#e2e8f0"/>`,
    text(left - 6, y(value) + 4, `${value.toLocaleString("en")} ${unit}`, 'text-anchor="end" font-size="10"'),
  ]);
  const drawn = lines.flatMap(({ name, values }, i) => {
    const points = values.flatMap((value, s) =>
      value > 0 ? [`${x(s).toFixed(1)},${y(value).toFixed(1)}`] : [],
    );
    const colour = COLOURS[i % COLOURS.length];
    return [
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.join(" ")}"/>`,
      `<rect x="${left + i * 170}" y="${bottom + 32}" width="14" height="4" fill="${colour}"/>`,
      text(left + 20 + i * 170, bottom + 38, name),
    ];
  });
  const axis = Array.from({ length: Math.ceil(seconds / 5) }, (_, i) =>
    text(x(i * 5), bottom + 16, `${i * 5} s`, 'text-anchor="middle" font-size="10"'),
  );
  return svg(bottom + 50, title, [...grid, ...axis, ...drawn]);
}
