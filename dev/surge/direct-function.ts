/** The function that inserts each event of the surge at once: dev/load/direct.ts over the surge's own table. */
import { serveDirect } from "../load/direct.ts";
import { direct } from "./own-stream.ts";

serveDirect({ direct });
