/** `spillway build`: compiles the installation to dist/ (dev/stack/build-installation.ts). No server is asked. */
import { action } from "../command.ts";
import { CommandFailed } from "../command-line.ts";
import { yourInstallation } from "../yours.ts";

export default action({
  about:
    "Checks the types of your entry point and your streams, and compiles them to dist/, with the migrations.",
  notes:
    'The entry point is the one of package.json\'s "main": dist/server.js is made of server.ts. If something is wrong, dist/ stays as it was.',
  async run() {
    const { buildInstallation } = await import("../../stack/build-installation.ts");
    const wrong = await buildInstallation(yourInstallation());
    if (wrong !== "") throw new CommandFailed(wrong);
    return 0;
  },
});
