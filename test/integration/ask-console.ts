/** Asks the console's server in a test, as its page does or as a program may. */
import { request } from "node:http";
import type { Console } from "../../dev/console/console-server.ts";

/** The token of its start, which its address holds. */
export const tokenOf = ({ url }: Console): string => new URL(url).hash.slice(1);

/** Asks as a program may, with any Host and Origin. */
export function askConsole(
  { port }: Console,
  method: string,
  path: string,
  headers: Record<string, string>,
): Promise<[number, unknown]> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, method, path, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece: string) => {
        text += piece;
      });
      response.on("end", () =>
        resolve([response.statusCode ?? 0, text.startsWith("{") ? JSON.parse(text) : text]),
      );
    });
    sent.on("error", reject).end();
  });
}
