/** Answers `GET /openapi.json` of the supervisor: the OpenAPI document of its own private interface. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { supervisorDocument } from "../lib/openapi/supervisor-document.ts";
import { sendText } from "./answer.ts";

/** Written when it is first asked for, because nothing but the release changes it. */
let written: string | undefined;

/** Answers with the document. */
export async function answerOwnDocument(_: unknown, __: IncomingMessage, res: ServerResponse): Promise<void> {
  written ??= `${JSON.stringify(supervisorDocument())}\n`;
  sendText(res, 200, "application/json", written);
}
