/** `spillway keys`: makes, lists, replaces and revokes API keys, without a deployment. */
import type { Group } from "../command.ts";
import { create } from "../keys/create.ts";
import { list } from "../keys/list.ts";
import { revoke } from "../keys/revoke.ts";
import { rotate } from "../keys/rotate.ts";

const command: Group = {
  about: "Makes, lists, rotates and revokes API keys.",
  actions: { create, list, rotate, revoke },
  notes:
    "Running instances know a change within seconds. The keys of INGEST_API_KEYS are changed there, and deployed.",
};
export default command;
