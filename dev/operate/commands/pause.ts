/** `spillway pause STREAM`: stops the drain of a stream for a while. */

import { type PauseAnswer, pauseAnswer } from "../../../lib/contract/pause.ts";
import { PAUSE_DEFAULT, PAUSE_LENGTH_EXPECTED, pauseSecondsOf } from "../../../lib/contract/pause-length.ts";
import { sayPaused } from "../../../lib/operate/pause-report.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printable, UsageError } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

export default action({
  about: "Stops the drain of a stream for a while; what comes is buffered.",
  words: "STREAM",
  wordsMax: 1,
  options: {
    for: { type: "string", value: "TIME", about: `how long: 1s to 24h, such as 30min (${PAUSE_DEFAULT})` },
    why: { type: "string", value: "TEXT", about: "the reason, for whoever reads spillway status" },
    ...jsonOption,
    ...supervisorOptions,
  },
  notes:
    "Only the drain stops: events that are stored before the answer (ack=stored), and those that come while Redis is away, still reach\nPostgres. Given again, it ends that long from now on. spillway resume STREAM ends it.",
  async run({ values, words: [stream] }) {
    if (stream === undefined) throw new UsageError("expected the stream's name");
    const length = values.for ?? PAUSE_DEFAULT;
    if (pauseSecondsOf(length) === undefined)
      throw new UsageError(`--for: ${PAUSE_LENGTH_EXPECTED}, got "${printable(length)}"`);
    const supervisor = await findSupervisor(values);
    const path = `/streams/${encodeURIComponent(stream)}/pause`;
    const answer = await supervisor.ask("POST", path, { body: { for: length, why: values.why } });
    const done = bodyOf(answer, pauseAnswer);
    if (values.json) console.log(JSON.stringify(done));
    else print(done);
    return 0;
  },
});

function print({ stream, paused, replaced, note }: PauseAnswer): void {
  const before = replaced === null ? "" : ` Before, it was ${sayPaused(replaced).slice("is ".length)}.`;
  console.log(printable(`${stream} ${paused === null ? "is drained" : sayPaused(paused)}.${before}`));
  console.log(printable(note));
}
