/**
 * The Upstash client, with everything off that would repeat, mix or reinterpret commands: one command is one POST,
 * sent once, and strings come back as they are.
 */
import { errors, Redis, type Requester, type UpstashRequest, type UpstashResponse } from "@upstash/redis";
import { sendPost } from "../http-post.ts";

const { UpstashError, UpstashJSONParseError } = errors;

interface Endpoint {
  restUrl: string;
  restToken: string;
}

/** The header by which an Upstash replica knows which writes it has to have seen. */
const SYNC_TOKEN = "upstash-sync-token";

/**
 * Upstash's REST protocol (upstash.com/docs/redis/features/restapi) over `post`. Throws UpstashError with Redis's
 * words, UpstashJSONParseError if the answer is not JSON, and the errors of `sendPost`.
 */
function requesterTo({ restUrl, restToken }: Endpoint, timeoutMs: number): Requester {
  const url = restUrl.replace(/\/$/, "");
  let syncToken = "";
  return {
    async request<Result>({ path = [], body }: UpstashRequest): Promise<UpstashResponse<Result>> {
      const reply = await sendPost([url, ...path].join("/"), {
        headers: {
          authorization: `Bearer ${restToken}`,
          [SYNC_TOKEN]: syncToken,
        },
        body: JSON.stringify(body),
        timeoutMs,
      });
      const answer = parse<UpstashResponse<Result>>(reply.text);
      if (!reply.ok) throw new UpstashError(String(answer?.error));
      syncToken = String(reply.headers[SYNC_TOKEN] ?? "");
      return answer;
    },
  };
}

function parse<Answer>(text: string): Answer {
  try {
    return JSON.parse(text) as Answer;
  } catch (cause) {
    throw new UpstashJSONParseError(text, { cause });
  }
}

/** Given a requester, the client takes no options: this is the one that matters. */
class PlainRedis extends Redis {
  protected override opts = { automaticDeserialization: false };
}

/** Connects to Upstash; every command gives up after `timeoutMs`. Errors: see redis-errors.ts. */
export const connectRedis = (endpoint: Endpoint, timeoutMs: number): Redis =>
  new PlainRedis(requesterTo(endpoint, timeoutMs));
