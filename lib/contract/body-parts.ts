/** Parts that several bodies of the supervisor have, as zod schemas. */
import { z } from "zod";

/** How many. */
export const count = z.int().min(0);
/** RFC 3339. The format only explains: a program that reads an answer need not check it. */
export const moment = z.string().meta({ format: "date-time" });
