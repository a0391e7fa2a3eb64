/** Finds in what a function wrote why it could not be loaded. */

const LINES_MAX = 4;

/** What the framework says besides. */
const ITS_OWN = /^(?:Provided module can't be loaded|Is there a syntax error|Could not load the function)/;

/** The error, and where in the streams it was thrown. The lines of what is compiled are not those of the source, so they are left out. */
export function reasonIn(lines: readonly string[], build: string, streams: string): string {
  const told = lines.filter((line) => !line.startsWith("{") && !ITS_OWN.test(line));
  const first = told.findIndex((line) => /(?:^|\s)\w*Error\b.*:/.test(line));
  const ours = told
    .slice(Math.max(0, first))
    .filter((line) => !/^\s+at /.test(line) || line.includes(streams))
    .slice(0, LINES_MAX)
    .map((line) =>
      line.replace("Detailed stack trace: ", "").replaceAll(`${build}/`, "").replaceAll("file://", ""),
    )
    .map((line) => line.replaceAll(/(?<![\w/.-])([\w.-][\w/.-]*)\.js(?::\d+)*/g, "$1.ts").trimEnd());
  return ours.join("\n").trim() || "it ended without a word";
}
