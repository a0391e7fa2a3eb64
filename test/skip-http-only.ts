/** Leaves out the tests of http-only.ts where the servers are reached over TCP. */
import { basename } from "node:path";
import { beforeEach } from "vitest";
import { HTTP_ONLY } from "./http-only.ts";
import { isOverTcp } from "./worker-servers.ts";

interface Named {
  name: string;
  suite?: Named | undefined;
}

const fullNameOf = ({ name, suite }: Named): string =>
  suite === undefined ? name : `${fullNameOf(suite)} > ${name}`;

if (isOverTcp)
  beforeEach(({ task, skip }) => {
    const fullName = fullNameOf(task);
    const found = HTTP_ONLY[basename(task.file.name)]?.find(([tests]) => fullName.includes(tests));
    if (found) skip(found[1]);
  });
