/** TLS that fails lasts until somebody mends a certificate, a URL or a server; so it is no outage, which passes by itself. */

/** Codes of Node's and OpenSSL's for a certificate that is not trusted, not of this host or expired, and for a server without TLS. */
const CODES = /^(ERR_TLS_|ERR_SSL_|CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|EPROTO$|HOSTNAME_MISMATCH$)/;

/** Says why TLS failed, without the server's words; undefined: it was something else. */
export function tlsFailureOf(error: unknown): string | undefined {
  const { code } = (error ?? {}) as { code?: unknown };
  if (typeof code !== "string" || !CODES.test(code)) return undefined;
  return /^(ERR_SSL_|EPROTO)/.test(code)
    ? `TLS fails (${code}): probably the server does not speak it on this port`
    : `the server's certificate is not trusted (${code})`;
}
