/** The page's state of the surge: a value, and a function that returns the next one for some lines. */
import type {
  SurgeCalibrated,
  SurgeConserved,
  SurgeEnded,
  SurgeHello,
  SurgeLine,
  SurgeRequest,
  SurgeSecond,
  SurgeTarget,
} from "../../../../lib/contract/surge.ts";

export const TARGETS = ["direct", "buffer"] as const satisfies readonly SurgeTarget[];

/** One target's turn. */
export interface SurgeTurn {
  /** While the load was on, with the seconds in which the last answers came. */
  seconds: readonly SurgeSecond[];
  /** The newest second, also of the settling afterwards. */
  last: SurgeSecond;
  /** So far. */
  offered: number;
  answered: number;
  errors: number;
  /** The longest that the generator itself was late so far. */
  lateMs: number;
  /** Undefined: its turn is not over. */
  conserved: SurgeConserved | undefined;
}

export interface SurgeState {
  /** Undefined: nothing was read yet. */
  hello: SurgeHello | undefined;
  isRunning: boolean;
  /** What runs, or ran last. */
  request: SurgeRequest | null;
  /** What it does now. */
  step: string;
  /** The newest second of the ramp, while that is under way. */
  ramp: SurgeSecond | undefined;
  calibrated: SurgeCalibrated | null;
  turns: Readonly<Partial<Record<SurgeTarget, SurgeTurn>>>;
  ended: SurgeEnded | undefined;
}

export const NO_SURGE: SurgeState = {
  hello: undefined,
  isRunning: false,
  request: null,
  step: "",
  ramp: undefined,
  calibrated: null,
  turns: {},
  ended: undefined,
};

/** The state after these lines. Lines of another kind are ignored. */
export const withSurgeLines = (state: SurgeState, lines: readonly SurgeLine[]): SurgeState =>
  lines.reduce(withLine, state);

function withLine(state: SurgeState, line: SurgeLine): SurgeState {
  switch (line.kind) {
    case "hello":
      return { ...NO_SURGE, hello: line, isRunning: line.isRunning, calibrated: line.calibrated };
    case "begun":
      return {
        ...NO_SURGE,
        hello: state.hello,
        calibrated: state.calibrated,
        isRunning: true,
        request: line.request,
      };
    case "step":
      return { ...state, step: line.text };
    case "calibrated":
      return { ...state, calibrated: line, ramp: undefined };
    case "second":
      return line.part === "ramp"
        ? { ...state, ramp: line }
        : withTurn(state, turnWith(state.turns[line.target], line));
    case "conserved": {
      const turn = state.turns[line.target];
      return turn === undefined ? state : withTurn(state, { ...turn, conserved: line });
    }
    case "ended":
      return { ...state, isRunning: false, step: "", ramp: undefined, ended: line };
    default:
      return state;
  }
}

const withTurn = (state: SurgeState, turn: SurgeTurn): SurgeState => ({
  ...state,
  turns: { ...state.turns, [turn.last.target]: turn },
});

function turnWith(before: SurgeTurn | undefined, line: SurgeSecond): SurgeTurn {
  const { seconds = [], offered = 0, answered = 0, errors = 0, lateMs = 0 } = before ?? {};
  return {
    seconds: line.part === "load" ? [...seconds, line] : seconds,
    last: line,
    offered: offered + line.offered,
    answered: answered + line.answered,
    errors: errors + line.errors,
    lateMs: Math.max(lateMs, line.lateMs),
    conserved: undefined,
  };
}

/** The newest second in which the target was under load, for figures that mean nothing afterwards. */
export const loadOf = (turn: SurgeTurn): SurgeSecond => turn.seconds.at(-1) ?? turn.last;
