/** `spillway init DIR`: makes an installation, a small repository that holds only what is yours. No server is asked. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { action } from "../command.ts";
import { CommandFailed, UsageError } from "../command-line.ts";
import { makeInstallation, NotMade } from "../init/make-installation.ts";

/** The package's folder: this file is there in dev/, or compiled in dist/dev/. */
const PACKAGE = fileURLToPath(
  ["../../..", "../../../.."]
    .map((path) => new URL(`${path}/`, import.meta.url))
    .find((folder) => existsSync(new URL("template/package.json", folder))) as URL,
);

export default action({
  about: "Makes a small repository for your streams, which has Spillway as a package.",
  words: "DIR",
  wordsMax: 1,
  notes: "DIR is a new folder, or an empty one; a .git may be in it. Its name becomes the name of a package.",
  async run({ words: [folder] }) {
    if (folder === undefined) throw new UsageError("expected a folder, such as: spillway init my-buffer");
    try {
      makeInstallation(folder, PACKAGE);
    } catch (error) {
      throw error instanceof NotMade ? new CommandFailed(error.message) : error;
    }
    console.log(nextSteps(folder));
    return 0;
  },
});

const nextSteps = (folder: string): string =>
  [
    `cd ${/^[\w./@-]+$/.test(folder) ? folder : `'${folder.replaceAll("'", "'\\''")}'`} && npm install`,
    "npm start",
    "It runs the whole system on this machine. README.md says how to add a stream, test, deploy and upgrade.",
  ].join("\n");
