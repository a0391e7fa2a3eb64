/** The pictures of the console in docs/images/: their names, and how the page is shown for each. A test holds README against the names. */

export interface Picture {
  /** In docs/images/. */
  file: string;
  /** `page`: from the verdict to the dead letters; `surge`: the panel of the traffic surge, after a surge into both. */
  shows: "page" | "surge";
  colorScheme: "light" | "dark";
  /** In pixels. */
  width: number;
}

/** GitHub shows a README in some 1,000 pixels. */
const WIDTH = 1100;
const PHONE_WIDTH = 390;

export const PICTURES: readonly Picture[] = [
  { file: "console-light.png", shows: "page", colorScheme: "light", width: WIDTH },
  { file: "console-dark.png", shows: "page", colorScheme: "dark", width: WIDTH },
  { file: "console-phone.png", shows: "page", colorScheme: "light", width: PHONE_WIDTH },
  { file: "surge-light.png", shows: "surge", colorScheme: "light", width: WIDTH },
  { file: "surge-dark.png", shows: "surge", colorScheme: "dark", width: WIDTH },
];

/** A picture is loaded with the README. */
export const PICTURE_MAX_BYTES = 250_000;
