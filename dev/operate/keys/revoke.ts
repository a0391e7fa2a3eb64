/** `spillway keys revoke`: ends all keys of a name, and says whether that has reached the instances. */
import { type RevokedKey, revokedKey } from "../../../lib/contract/keys.ts";
import { action } from "../command.ts";
import { countOf, jsonOption } from "../command-line.ts";
import { supervisorOptions } from "../find-supervisor.ts";
import { changeKey, nameOf } from "./ask-keys.ts";

export const revoke = action({
  about: "ends all keys of a name; may be repeated",
  words: "NAME",
  wordsMax: 1,
  options: { ...jsonOption, ...supervisorOptions },
  async run({ values, words }) {
    const revoked = await changeKey(values, { action: "revoke", name: nameOf(words) }, revokedKey);
    if (values.json) console.log(JSON.stringify(revoked));
    else print(revoked);
    return revoked.isRefused ? 0 : 1;
  },
});

function print({ name, keys, isRefused }: RevokedKey): void {
  console.log(`${countOf(keys, "key")} of "${name}" revoked.`);
  console.log(
    isRefused
      ? "Running instances refuse it within seconds."
      : "Redis does not say so, so instances may take it still: repeat the command until this line is gone.",
  );
}
