/**
 * Reads a request's body within its limits: the declared length before a byte is read, the bytes as they come,
 * and the inflated size while inflating, so that a gzip bomb costs no more than the limit.
 */
import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { Problem } from "./answer.ts";

const inflate = promisify(gunzip);

/** Which of the accepted encodings a body has; throws a 415 for any other. */
export function encodingOf(req: IncomingMessage): "identity" | "gzip" {
  const encoding = (req.headers["content-encoding"] ?? "identity").trim().toLowerCase();
  if (encoding === "identity" || encoding === "") return "identity";
  if (encoding === "gzip") return "gzip";
  throw new Problem(415, "expected Content-Encoding gzip or none");
}

/** Reads the body, inflated. Throws a 413 past `maxBytes`, a 400 where the connection or the gzip breaks off. */
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

/** Once the body is there, no listener stays behind: it would keep the body for as long as the request waits for its answer. */
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
