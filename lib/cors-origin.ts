/**
 * Says what is wrong with an origin in CORS_ORIGINS; undefined: nothing. A browser sends an origin in one form only, and it is
 * compared as text.
 */
export function problemOfOrigin(origin: string): string | undefined {
  if (origin === "*") return undefined;
  const expected = `expected an origin as browsers send it, such as https://app.example`;
  if (!/^[a-z][a-z0-9+.-]*:\/\/[^/?#@*\s]+$/i.test(origin)) return `${expected}, without a path`;
  if (!/^https?:/i.test(origin)) return undefined; // of a native app's web view, such as capacitor://localhost
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (url?.origin === origin) return undefined;
  return url ? `expected "${url.origin}", got "${origin}"` : `${expected}; got "${origin}"`;
}
