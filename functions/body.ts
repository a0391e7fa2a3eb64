/**
 * Reads a request's body within its limits. It checks the declared length before it reads a byte, the length so far while the
 * bytes come, and the inflated size while it inflates. So a gzip bomb costs no more memory than the limit.
 */
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Problem } from "./answer.ts";

const inflate = promisify(gunzip);

/** Finds the encoding of a body. Throws a 415 if it is not accepted. */
export function encodingOf(req: IncomingMessage): "identity" | "gzip" {
  const encoding = (req.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  if (encoding === "identity" || encoding === "") return "identity";
  if (encoding === "gzip") return "gzip";
  throw new Problem(415, "expected Content-Encoding gzip or none");
}

/** Reads and inflates the body. Throws a 413 past `maxBytes`, a 400 if the body breaks off or is not gzip, and a 415. */
export async function readBody(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const encoding = encodingOf(req);
  const declared = Number(req.headers["content-length"] ?? 0);
  if (declared > maxBytes) throw tooLarge(maxBytes);
  const raw = await collect(req, maxBytes);
  if (encoding === "identity") return raw;
  try {
    return await inflate(raw, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(maxBytes);
    throw new Problem(400, "expected a gzip stream");
  }
}

const tooLarge = (maxBytes: number) => new Problem(413, `expected a body of at most ${maxBytes} bytes`);

/** Collects the body's bytes. Then it removes its listeners: they would keep the body in memory until the request is answered. */
function collect(req: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const take = (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= maxBytes) chunks.push(chunk);
      else {
        req.pause();
        reject(tooLarge(maxBytes));
      }
    };
    const end = () => {
      req.off("data", take).off("end", end).off("error", breakOff).off("close", breakOff);
      resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks));
    };
    const breakOff = () => {
      if (!req.complete) reject(new Problem(400, "the body broke off"));
    };
    req.on("data", take).on("end", end).on("error", breakOff).on("close", breakOff);
  });
}
