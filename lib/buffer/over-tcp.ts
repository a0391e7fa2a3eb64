/** Redis over TCP, in the place of Upstash's REST: the same commands, and the same forms of replies. */
import { errors, type Requester, type UpstashRequest, type UpstashResponse } from "@upstash/redis";
import type { RedisLink, Reply } from "./redis-link.ts";

const { UpstashError } = errors;

/** Sends what Upstash's client makes. Throws UpstashError with Redis's error message, and the errors of the link. */
export const overTcp = (link: RedisLink, timeoutMs: number): Requester => ({
  async request<Result>({ path = [], body }: UpstashRequest): Promise<UpstashResponse<Result>> {
    const isPipeline = path[0] === "pipeline";
    const commands = (isPipeline ? body : [body]) as unknown[][];
    const replies = await link.send(commands.map(asTexts), timeoutMs);
    if (isPipeline) return replies as unknown as UpstashResponse<Result>;
    return resultOf(replies[0] as Reply) as UpstashResponse<Result>;
  },
});

const asTexts = (command: readonly unknown[]): string[] =>
  command.map((part) => (typeof part === "string" ? part : String(part)));

function resultOf(reply: Reply): { result: unknown } {
  if ("error" in reply) throw new UpstashError(reply.error);
  return reply;
}
