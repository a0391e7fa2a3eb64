/** `spillway keys create`: makes a key, and prints it once. */
import { madeKey } from "../../../lib/contract/keys.ts";
import { action } from "../command.ts";
import { jsonOption, UsageError, wholeNumber } from "../command-line.ts";
import { supervisorOptions } from "../find-supervisor.ts";
import { changeKey, nameOf, printKey } from "./ask-keys.ts";

export const create = action({
  about: "makes a key and prints it once, alone on standard output",
  words: "NAME",
  wordsMax: 1,
  options: {
    streams: { type: "string", value: "A,B", about: "the streams it may use; without it all" },
    rate: { type: "string", value: "N", about: "events a second, over all instances together" },
    expires: { type: "string", value: "TIME", about: "when it ends: 90d, 12h, 30min; without it never" },
    public: { type: "boolean", about: "for browsers and apps, where everybody can read it" },
    origins: {
      type: "string",
      value: "A,B",
      about: "pages that may use a public key, such as https://example.com",
    },
    "per-address": {
      type: "string",
      value: "N",
      about: "events a second from one address with a public key",
    },
    ...jsonOption,
    ...supervisorOptions,
  },
  notes: "KEY=$(npx spillway keys create shop --streams orders) keeps the key in a variable.",
  async run({ values, words }) {
    const name = nameOf(words);
    if (!values.public)
      for (const option of ["origins", "per-address"] as const)
        if (values[option] !== undefined)
          throw new UsageError(`--${option} is for public keys: add --public`);
    const made = await changeKey(
      values,
      {
        ...{ action: "create", name, kind: values.public ? "public" : "secret" },
        streams: listOf(values.streams),
        eventsPerSecond: wholeNumber("--rate", values.rate, undefined),
        perAddressPerSecond: wholeNumber("--per-address", values["per-address"], undefined),
        origins: listOf(values.origins),
        expires: values.expires,
      },
      madeKey,
    );
    return printKey(made, values.json);
  },
});

/** The parts of `a,b`; undefined: nothing was given. */
const listOf = (text: string | undefined): string[] | undefined =>
  text
    ?.split(",")
    .map((part) => part.trim())
    .filter((part) => part !== "");
