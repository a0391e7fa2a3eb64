/** The panels below the verdict, in the order in which eyes need them. README.md of this package says how one is added. */
import type { FunctionComponent } from "preact";

export interface DeclaredPanel {
  id: string;
  Component: FunctionComponent;
  /** Open at first: always, only locally (it asks Postgres, or costs otherwise), or never. */
  isOpenAtFirst: "always" | "locally" | "never";
  /** Not there with --prod. */
  isLocalOnly?: boolean;
}

export const PANELS: readonly DeclaredPanel[] = [];
