/** `spillway start`: compiles the functions and runs the whole system on this machine (dev/start.ts), until Ctrl-C. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { action } from "../command.ts";

export default action({
  about: "Runs the whole system on this machine, on real servers, until Ctrl-C.",
  notes: "SPILLWAY_PORT_BASE (8080) and DRAIN_EVERY (1s) are read from the environment.",
  async run() {
    const build = fileURLToPath(new URL("../../build.mjs", import.meta.url));
    const { status } = spawnSync(process.execPath, [build], { stdio: "inherit" });
    if (status !== 0) return 1; // the compiler has said why
    await import("../../start.ts"); // it ends the process itself
    return 0;
  },
});
