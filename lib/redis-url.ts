/** `REDIS_URL`: what is wrong with it, and where it points. */

/** Says what is wrong with a URL; undefined: nothing. */
export function problemOfRedisUrl(text: string): string | undefined {
  const form = "expected redis://[user[:password]@]host[:port][/database], or rediss:// for TLS";
  if (!URL.canParse(text) || !/^rediss?:\/\//.test(text)) return form;
  const { hostname, pathname, search, hash, username, password } = new URL(text);
  if (hostname === "" || search !== "" || hash !== "") return form;
  if (!/^\/?$|^\/\d{1,4}$/.test(pathname)) return "expected the database as a number, as in redis://host/0";
  try {
    decodeURIComponent(username + password);
    return undefined;
  } catch {
    return "expected special characters of a password to be percent-encoded";
  }
}

/** Where a Redis is, for people: host, port and database, never who logs in. */
export function placeOfRedis(url: string): string {
  const { host, pathname } = new URL(url);
  return `${host}${/\d/.test(pathname) ? pathname : ""}`;
}
