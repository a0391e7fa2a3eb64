/**
 * Preloaded into each process of the rehearsal: connections to other machines go to the cloud of the rehearsal, without TLS. The
 * process asks the addresses that it would ask in reality, and the cloud reads them from the Host of each request.
 */
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";
import tls from "node:tls";

const { REHEARSAL_PORT, REHEARSAL_POSTGRES_PORT, REHEARSAL_REDIS_PORT, REHEARSAL_SOCKETS } = process.env;
const isHere = (host) => host === undefined || /^(127\.|localhost$|::1$)/.test(host);
const places = { 5432: REHEARSAL_POSTGRES_PORT, 6379: REHEARSAL_REDIS_PORT };
const placeOf = (port) => Number(places[port] ?? REHEARSAL_PORT);
/** Whether it is a socket of Cloud SQL that this process was given. */
const isSocket = (path) =>
  REHEARSAL_SOCKETS?.split(",").some((name) => name && path === `/cloudsql/${name}/.s.PGSQL.5432`);

const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function connectInRehearsal(...args) {
  const options = Array.isArray(args[0]) ? args[0][0] : args[0];
  if (typeof options === "string" && isSocket(options))
    return connect.call(this, Number(REHEARSAL_POSTGRES_PORT), "127.0.0.1", ...args.slice(2));
  if (typeof options === "object" && !isHere(options.host))
    Object.assign(options, { port: placeOf(options.port), host: "127.0.0.1" });
  else if (typeof options !== "object" && !isHere(args[1]))
    return connect.call(this, placeOf(args[0]), "127.0.0.1", ...args.slice(2));
  return connect.apply(this, args);
};

tls.connect = function connectWithoutTls(options, ...rest) {
  const socket = options.socket ?? net.connect({ host: options.host, port: options.port });
  const isSecure = () => socket.emit("secureConnect");
  if (socket.connecting) socket.once("connect", isSecure);
  else setImmediate(isSecure);
  const done = rest.find((one) => typeof one === "function");
  if (done) socket.once("secureConnect", done);
  return socket;
};
syncBuiltinESMExports();
