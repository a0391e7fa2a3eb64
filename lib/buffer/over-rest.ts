/** Redis over Upstash's REST: one request is one POST, which is sent once. */
import { errors, type Requester, type UpstashRequest, type UpstashResponse } from "@upstash/redis";
import { sendPost } from "../http-post.ts";

const { UpstashError, UpstashJSONParseError } = errors;

/** Where an Upstash database is. */
export interface RestEndpoint {
  restUrl: string;
  restToken: string;
}

/** The header that tells an Upstash replica which writes it must have seen. */
const SYNC_TOKEN = "upstash-sync-token";

/**
 * Speaks Upstash's REST protocol (upstash.com/docs/redis/features/restapi) through `sendPost`. Throws UpstashError with Redis's
 * error message, UpstashJSONParseError if the answer is not JSON, and the errors of `sendPost`.
 */
export function overRest({ restUrl, restToken }: RestEndpoint, timeoutMs: number): Requester {
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
