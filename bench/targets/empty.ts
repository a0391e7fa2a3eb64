/** The floor: an empty function on the same framework. It reads nothing and says nothing. */
import { http } from "@google-cloud/functions-framework";

http("target", (_req, res) => {
  res.status(202).end();
});
