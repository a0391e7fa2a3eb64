/** Finds Chromium or Chrome for whoever opens a page without a window: on the PATH, or else Debian's, which it installs as root. */
import { installWithApt, isExecutable, onPath } from "./installed-program.ts";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
const ON_MACOS = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
const MISSING =
  "This needs Chromium or Chrome on the PATH: install it (Debian: apt-get install chromium; macOS: Google Chrome) and run it again";

const locate = (): string | undefined => onPath(...NAMES) ?? (isExecutable(ON_MACOS) ? ON_MACOS : undefined);

/** Where the browser is. Throws one sentence for people if it is nowhere, and can't be installed. */
export async function findBrowser(): Promise<string> {
  const present = locate();
  if (present) return present;
  if (process.getuid?.() !== 0 || !onPath("apt-get")) throw new Error(`${MISSING}.`);
  await installWithApt("chromium").catch((cause: Error) => {
    throw new Error(`${MISSING} (installing it here failed: ${cause.message.slice(0, 300)}).`, { cause });
  });
  const installed = locate();
  if (installed) return installed;
  throw new Error(`${MISSING}.`);
}
