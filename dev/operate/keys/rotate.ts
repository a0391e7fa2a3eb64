/** `spillway keys rotate`: makes a new key under the name of a live one; both are valid for a while. */
import { madeKey } from "../../../lib/contract/keys.ts";
import { action } from "../command.ts";
import { jsonOption } from "../command-line.ts";
import { supervisorOptions } from "../find-supervisor.ts";
import { changeKey, nameOf, printKey } from "./ask-keys.ts";

export const rotate = action({
  about: "makes a new key under the same name, so that ids stay the same; the old one goes on for a while",
  words: "NAME",
  wordsMax: 1,
  options: {
    overlap: {
      type: "string",
      value: "TIME",
      about: "how long the old key goes on: 7d (the default), 12h, 0s",
    },
    expires: {
      type: "string",
      value: "TIME",
      about: "when the new one ends; without it, it lives as long as the old",
    },
    ...jsonOption,
    ...supervisorOptions,
  },
  async run({ values, words }) {
    const { overlap, expires } = values;
    const made = await changeKey(
      values,
      {
        action: "rotate",
        name: nameOf(words),
        overlap,
        expires,
      },
      madeKey,
    );
    return printKey(made, values.json);
  },
});
