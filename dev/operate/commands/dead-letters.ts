/** `spillway dead-letters`: shows dead and held letters, redrives them, or gives them up. */
import type { Group } from "../command.ts";
import { list } from "../dead-letters/list.ts";
import { purge } from "../dead-letters/purge.ts";
import { redrive } from "../dead-letters/redrive.ts";
import { show } from "../dead-letters/show.ts";

const command: Group = {
  about: "Lists, shows, redrives or purges the events that Postgres refused.",
  actions: { list, show, redrive, purge },
  notes:
    "A letter is dead if its event is proven to be at fault. It is held if nothing proves that; then it is tried again by itself.",
};
export default command;
