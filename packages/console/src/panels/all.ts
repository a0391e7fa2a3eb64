/** The panels below the verdict, in the order in which eyes need them. README.md of this package says how one is added. */
import type { FunctionComponent } from "preact";
import { Surge } from "../surge/panel.tsx";
import { Charts } from "./charts.tsx";
import { Doctor } from "./doctor.tsx";
import { Letters } from "./letters.tsx";
import { LiveView } from "./live.tsx";
import { Send } from "./send.tsx";
import { Senders } from "./senders.tsx";
import { Streams } from "./streams.tsx";

interface DeclaredPanel {
  id: string;
  Component: FunctionComponent;
  /** Open at first: always, only locally (it asks Postgres, or costs otherwise), or never. */
  isOpenAtFirst: "always" | "locally" | "never";
  /** Not there with --prod. */
  isLocalOnly?: boolean;
}

export const PANELS: readonly DeclaredPanel[] = [
  { id: "charts", Component: Charts, isOpenAtFirst: "always" },
  { id: "streams", Component: Streams, isOpenAtFirst: "always" },
  { id: "letters", Component: Letters, isOpenAtFirst: "locally" },
  { id: "senders", Component: Senders, isOpenAtFirst: "never" },
  { id: "live", Component: LiveView, isOpenAtFirst: "always" },
  { id: "send", Component: Send, isOpenAtFirst: "locally" },
  { id: "surge", Component: Surge, isOpenAtFirst: "never", isLocalOnly: true },
  { id: "doctor", Component: Doctor, isOpenAtFirst: "never" },
];
