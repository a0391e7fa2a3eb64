/** `spillway usage`: shows who sent how much, by hour, key and stream. */
import { type UsageReport, usageReport } from "../../../lib/contract/usage.ts";
import { bodyOf } from "../ask-supervisor.ts";
import { action } from "../command.ts";
import { jsonOption, printTable } from "../command-line.ts";
import { findSupervisor, supervisorOptions } from "../find-supervisor.ts";
import { momentOf } from "../moment.ts";

export default action({
  about: "Shows who sent how much in which hour, and what was throttled or shed.",
  options: {
    since: {
      type: "string",
      value: "WHEN",
      about: "hours from this on: 2026-11-21T09:00:00Z, or ago: 30m, 2h, 3d (a day ago without it)",
    },
    until: { type: "string", value: "WHEN", about: "hours before this" },
    key: { type: "string", value: "NAME", about: 'of this key; "": requests without a known key' },
    stream: { type: "string", value: "NAME", about: 'of this stream; "": requests without a known stream' },
    ...jsonOption,
    ...supervisorOptions,
  },
  notes:
    "accepted and rejected are events (a request that was refused as a whole counts as one); throttled (429) and shed (503) are\nrequests; bytes are of the bodies that were read, inflated. An instance sends its counts once a minute, beside an accepted event:\nnewer ones are missing, and those that it had not sent when it ended.",
  async run({ values }) {
    const { since, until, key, stream } = values;
    const query = new URLSearchParams();
    if (since !== undefined) query.set("since", momentOf("--since", since));
    if (until !== undefined) query.set("until", momentOf("--until", until));
    if (key !== undefined) query.set("key", key);
    if (stream !== undefined) query.set("stream", stream);
    const supervisor = await findSupervisor(values);
    const report = bodyOf(await supervisor.ask("GET", `/usage?${query}`), usageReport);
    if (values.json) console.log(JSON.stringify(report));
    else print(report);
    return 0;
  },
});

function print({ hours, isCut }: UsageReport): void {
  printTable(
    ["hour", "key", "stream", "accepted", "rejected", "throttled", "shed", "bytes"],
    hours.map((one) => [
      ...[one.hour, one.key, one.stream],
      ...[one.accepted, one.rejected, one.throttled, one.shed, one.bytes],
    ]),
  );
  if (isCut) console.log("\nThere is more than this: ask for fewer hours, or for one key.");
}
