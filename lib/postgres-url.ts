/**
 * `DATABASE_URL`: how the database is reached, what is wrong with a URL, and the settings of the TCP client.
 *
 * A host of Neon's is reached over HTTP, and so is any other for which NEON_HTTP_URL is set; every other Postgres over TCP. Unix sockets are
 * a `host` parameter or a host that is an encoded path, as in libpq.
 */
import { parse } from "pg-connection-string";

/** As libpq has them, without `allow` and `prefer`: they would send the data in the clear if the server, or somebody between, says so. */
const SSL_MODES = ["disable", "require", "verify-ca", "verify-full"];

/** The settings of a TCP client. */
export interface PostgresAddress {
  host: string;
  port: number | undefined;
  user: string | undefined;
  password: string | undefined;
  database: string | undefined;
  /** False: in the clear. */
  ssl: false | object;
  /** Whether the login is bound to the TLS connection, where the server offers that. */
  enableChannelBinding: boolean;
  /** Startup parameters that the URL gives. */
  others: Record<string, string>;
}

/** Whether this database is reached over Neon's HTTP. */
export const isOverHttp = (databaseUrl: string, neonHttpUrl: string | undefined): boolean =>
  neonHttpUrl !== undefined || /\.neon\.(tech|build)$/i.test(addressOf(databaseUrl).host);

/** The parameters of a URL that go to the server as they are. PgBouncer takes the first alone. */
const STARTUP_PARAMETERS = ["application_name", "options"] as const;

/** Reads a URL. Throws an error without the URL's text for one that can't be read. */
export function addressOf(databaseUrl: string): PostgresAddress {
  const problem = problemOfPostgresUrl(databaseUrl);
  if (problem !== undefined) throw new SyntaxError(problem);
  return read(databaseUrl);
}

const UNREADABLE = "expected a postgres:// URL; special characters of a password are percent-encoded";

/** Says what is wrong with a URL; undefined: nothing. */
export function problemOfPostgresUrl(text: string): string | undefined {
  if (!/^postgres(ql)?:\/\//.test(text)) return "expected a postgres:// URL";
  if (isCutInPassword(text)) return UNREADABLE;
  const [, query] = text.split("?", 2);
  const problem = problemOfParameters(new URLSearchParams(query));
  if (problem !== undefined) return problem;
  try {
    const { host, port } = read(text);
    if (port !== undefined && !(port >= 1 && port <= 65_535)) return "expected a port from 1 to 65535";
    return host === "" ? "expected a host, or a folder of Unix sockets as ?host=/path" : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT")
      return "expected files that exist as sslrootcert, sslcert and sslkey";
    return UNREADABLE;
  }
}

/** Whether the password has a `#`, or a `/` without an `@` before it: then the user would be read as the host. */
const isCutInPassword = (text: string): boolean => /#|^\w+:\/\/[^/?@]*\/[^?]*@/.test(text);

function problemOfParameters(parameters: URLSearchParams): string | undefined {
  const [sslmode, ...more] = parameters.getAll("sslmode");
  if (more.length > 0) return "expected sslmode once";
  if (sslmode !== undefined && !SSL_MODES.includes(sslmode))
    return `expected an sslmode of ${SSL_MODES.join(", ")}`;
  if (parameters.has("uselibpqcompat"))
    return "expected no uselibpqcompat: sslmode means the same as in libpq";
  if (sslmode === "verify-ca" && !parameters.get("sslrootcert"))
    return "expected sslrootcert (a file) beside sslmode=verify-ca; without it, use verify-full";
  return undefined;
}

function read(text: string): PostgresAddress {
  const { host, port, user, password, database, ssl, channel_binding, ...others } = parse(text, {
    useLibpqCompat: true,
  });
  const startup = STARTUP_PARAMETERS.filter((name) => others[name] !== undefined);
  return {
    host: host ?? "",
    port: port ? Number(port) : undefined,
    ...{ user: user || undefined, password: password || undefined, database: database || undefined },
    ssl: typeof ssl === "object" ? ssl : ssl ? {} : false,
    enableChannelBinding: channel_binding === "require" || channel_binding === "prefer",
    others: Object.fromEntries(startup.map((name) => [name, String(others[name])])),
  };
}

/** The settings of pg's client for a URL: pg itself reads sslmode in another way than libpq. */
export function clientSettingsOf(databaseUrl: string) {
  const { others, port, ...address } = addressOf(databaseUrl);
  return { ...address, ...others, ...(port === undefined ? {} : { port }) };
}

/** Where a database is, for people: host, port and name, never who logs in. */
export function placeOfPostgres(databaseUrl: string): string {
  const { host, port, database } = addressOf(databaseUrl);
  const named = host.startsWith("/") ? host : host.includes(":") ? `[${host}]` : host;
  return `${named}${port === undefined ? "" : `:${port}`}/${database ?? ""}`;
}
