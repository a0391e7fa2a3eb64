/** `spillway resume STREAM`: ends the pause of a stream. */
import { type ResumeAnswer, resumeAnswer } from "../../../lib/contract/pause.ts";
import { sayPaused } from "../../../lib/operate/pause-report.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printable, UsageError } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";

export default action({
  about: "Ends the pause of a stream; the next tick drains it.",
  words: "STREAM",
  wordsMax: 1,
  options: { ...jsonOption, ...supervisorOptions },
  notes: "It may be repeated. spillway drain STREAM drains it at once.",
  async run({ values, words: [stream] }) {
    if (stream === undefined) throw new UsageError("expected the stream's name");
    const supervisor = await findSupervisor(values);
    const answer = await supervisor.ask("POST", `/streams/${encodeURIComponent(stream)}/resume`);
    const done = bodyOf(answer, resumeAnswer);
    if (values.json) console.log(JSON.stringify(done));
    else print(done);
    return done.paused === null ? 0 : 1;
  },
});

function print({ stream, paused, ended, note }: ResumeAnswer): void {
  const now = paused === null ? "is drained" : sayPaused(paused);
  const before = ended === null ? "" : ` It was ${sayPaused(ended).slice("is ".length)}.`;
  console.log(printable(`${stream} ${now}.${before}`));
  console.log(printable(note));
}
