/**
 * Gets access tokens of the function's own service account from Cloud Run's metadata server. A token is kept until a minute
 * before it expires, by a clock that is never set back (cloud.google.com/run/docs/container-contract, "Container instance metadata
 * server").
 */
const URL_OF_TOKEN =
  "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";
const TIMEOUT_MS = 250;

/** Makes the function that returns an access token. That function throws if the metadata server gives none within 250 ms. */
export function metadataToken(monotonicMs: () => number, url = URL_OF_TOKEN): () => Promise<string> {
  let kept: { token: string; untilMs: number } | undefined;
  return async () => {
    if (kept && monotonicMs() < kept.untilMs) return kept.token;
    const response = await fetch(url, {
      headers: { "metadata-flavor": "Google" },
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!response.ok) throw new Error(`expected a token from the metadata server, got ${response.status}`);
    const { access_token, expires_in } = (await response.json()) as {
      access_token: string;
      expires_in: number;
    };
    kept = { token: access_token, untilMs: monotonicMs() + (expires_in - 60) * 1000 };
    return access_token;
  };
}
