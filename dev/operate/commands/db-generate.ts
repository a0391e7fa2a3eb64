/** `spillway db-generate`: writes the migration that your streams' tables need (drizzle/generate.ts). No database is asked. */
import { action } from "../command.ts";
import { CommandFailed } from "../command-line.ts";
import { yourInstallation } from "../yours.ts";

export default action({
  about: "Writes the migration that the tables of your streams need; npm run db:generate is the same.",
  options: {
    name: { type: "string", value: "NAME", about: "the migration's name, after its number" },
    custom: { type: "boolean", about: "an empty migration, for SQL by hand" },
    "allow-drop": {
      type: "string",
      multiple: true,
      value: "TABLE",
      about: "a table, or TABLE.COLUMN, that the migration may drop; may be repeated",
    },
    ours: { type: "boolean", about: "Spillway's own tables, in a checkout of Spillway" },
  },
  notes:
    "Drizzle Kit compares the tables. If it wrote no migration, the folder is as it was, and one sentence says why.",
  async run({ values }) {
    const { generate, generateOurs } = await import("../../../drizzle/generate.ts");
    const { name, custom: isCustom = false, "allow-drop": allowed = [], ours } = values;
    const options = { name, isCustom, allowed: new Set(allowed) };
    const written = ours ? generateOurs(options) : generate(yourInstallation(), options);
    const said = await written.catch((error: Error) => {
      throw new CommandFailed(error.message); // a declaration's or Drizzle Kit's own words: no event's data are in it
    });
    console.log(said);
    return 0;
  },
});
