/** The surge's figures, direct inserts beside Spillway: live while its turn lasts, and its last ones afterwards. */
import type { ComponentChildren } from "preact";
import { numberOf, spanOf } from "../phrases.ts";
import { surge } from "./follow-surge.ts";
import { loadOf, type SurgeTurn, TARGETS } from "./surge-state.ts";

const NAMES = { direct: "Direct inserts", buffer: "Spillway" } as const;

interface Figure {
  name: string;
  of(turn: SurgeTurn): ComponentChildren;
}

const latencyOf = (ms: number | null): string =>
  ms === null ? "–" : ms < 1000 ? `${numberOf(ms)} ms` : spanOf(ms);

const FIGURES: readonly Figure[] = [
  { name: "Offered", of: ({ offered }) => numberOf(offered) },
  { name: "Generator late, at most", of: ({ lateMs }) => <Late ms={lateMs} /> },
  { name: "Answered", of: ({ answered }) => numberOf(answered) },
  {
    name: "Errors",
    of: ({ errors }) => <span class={errors > 0 ? "wrong" : undefined}>{numberOf(errors)}</span>,
  },
  { name: "Without an answer", of: ({ last }) => numberOf(last.unanswered) },
  { name: "p50, last second", of: (turn) => latencyOf(loadOf(turn).p50Ms) },
  { name: "p99, last second", of: (turn) => latencyOf(loadOf(turn).p99Ms) },
  { name: "p50 in all", of: (turn) => latencyOf(loadOf(turn).allP50Ms) },
  { name: "p99 in all", of: (turn) => latencyOf(loadOf(turn).allP99Ms) },
  { name: "Postgres connections", of: (turn) => <Connections turn={turn} /> },
  { name: "Rows stored", of: ({ last }) => numberOf(last.stored) },
  { name: "Waiting in the buffer", of: ({ last }) => numberOf(last.waiting) },
  { name: "Conserved", of: ({ conserved }) => <Conserved of={conserved} /> },
];

export function Figures() {
  const { turns } = surge.value;
  const shown = TARGETS.flatMap((target) => {
    const turn = turns[target];
    return turn === undefined ? [] : [{ target, turn }];
  });
  if (shown.length === 0) return null;
  return (
    <table id="surge-figures" aria-label="Figures of the surge">
      <thead>
        <tr>
          <td />
          {shown.map(({ target }) => (
            <th key={target} scope="col">
              {NAMES[target]}
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {FIGURES.map(({ name, of }) => (
          <tr key={name}>
            <th scope="row">{name}</th>
            {shown.map(({ target, turn }) => (
              <td key={target} data-target={target} data-figure={name}>
                {of(turn)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Connections({ turn }: { turn: SurgeTurn }) {
  const { connections, connectionsMax } = loadOf(turn);
  const said = `${numberOf(connections)} of ${numberOf(connectionsMax)}`;
  return (
    <>
      <meter min={0} max={connectionsMax} high={connectionsMax * 0.8} value={connections} aria-label={said} />{" "}
      {said}
    </>
  );
}

/** So late, in milliseconds, the generator may be with a request: more is not the target's doing. */
const LATE_MAX_MS = 200;

/** Whether this machine could really offer what was asked for. */
function Late({ ms }: { ms: number }) {
  if (ms <= LATE_MAX_MS) return latencyOf(ms);
  return <span class="unseen">{latencyOf(ms)}: this machine could not offer more</span>;
}

function Conserved({ of }: { of: SurgeTurn["conserved"] }) {
  if (of === undefined) return "…";
  return <span class={of.isKept ? "right" : "wrong"}>{of.text}</span>;
}
