/** The alternative "direct": dev/load/direct.ts over the tables of the benchmark. */
import { serveDirect } from "../../dev/load/direct.ts";
import { tables } from "./rows.ts";

serveDirect(tables);
