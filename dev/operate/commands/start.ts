/** `spillway start`: builds the functions and runs the whole system on this machine (dev/start.ts), until Ctrl-C. */
import { action } from "../command.ts";
import { CommandFailed } from "../command-line.ts";
import { yourInstallation } from "../yours.ts";

export default action({
  about: "Runs the whole system on this machine, on real servers, until Ctrl-C.",
  notes: "SPILLWAY_PORT_BASE (8080) and DRAIN_EVERY (1s) are read from the environment.",
  async run() {
    const { buildInstallation } = await import("../../stack/build-installation.ts");
    const wrong = await buildInstallation(yourInstallation());
    if (wrong !== "") throw new CommandFailed(wrong);
    await import("../../start.ts"); // it ends the process itself
    return 0;
  },
});
