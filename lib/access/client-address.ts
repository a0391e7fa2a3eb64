/**
 * Finds the address by which the clients of a public key are told apart. Cloud Run appends the peer that it saw to X-Forwarded-For, so
 * only the last hop is true; whatever stands before it, the client may have written. An IPv6 client has a network of 2^64 addresses,
 * so the network counts.
 */
import { isIPv4, isIPv6 } from "node:net";

/**
 * Returns the client's IPv4 address, or its IPv6 network (/64) in one spelling. `forwardedFor`: the header, as Node joins several. If its
 * last hop is no address, the peer of the socket counts.
 */
export function clientAddress(forwardedFor: string | undefined, peer: string | undefined): string {
  const lastHop = forwardedFor?.slice(forwardedFor.lastIndexOf(",") + 1);
  return normalized(lastHop) ?? normalized(peer) ?? "unknown";
}

function normalized(text: string | undefined): string | undefined {
  const address = withoutPort(text?.trim().replace(/^"(.*)"$/, "$1") ?? "");
  if (isIPv4(address)) return address;
  return isIPv6(address) ? networkOf(address) : undefined;
}

/** Takes brackets, port and zone away: `[2001:db8::1%eth0]:443`, `192.0.2.1:443`. */
function withoutPort(hop: string): string {
  const [, inBrackets] = /^\[([^\]]*)\](?::\d+)?$/.exec(hop) ?? [];
  const [, beforePort] = /^([\d.]+):\d+$/.exec(hop) ?? [];
  return (inBrackets ?? beforePort ?? hop).replace(/%.*$/, "");
}

/** The first 64 bits of an IPv6 address; of an IPv4 address that is mapped into IPv6, that one. */
function networkOf(address: string): string {
  const groups = groupsOf(address);
  const isMapped = groups[5] === 0xffff && groups.slice(0, 5).every((group) => group === 0);
  if (!isMapped)
    return `${groups
      .slice(0, 4)
      .map((group) => group.toString(16))
      .join(":")}::/64`;
  return groups
    .slice(6)
    .flatMap((group) => [group >> 8, group & 255])
    .join(".");
}

/** The eight numbers of a text that is an IPv6 address. */
function groupsOf(address: string): number[] {
  const [head = [], tail = []] = address.split("::").map(numbersOf);
  return [...head, ...Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}

/** The numbers of a part of an IPv6 address, which may end as an IPv4 address does. */
const numbersOf = (part: string): number[] =>
  part.split(":").flatMap((group) => {
    if (group === "") return [];
    if (!group.includes(".")) return [Number.parseInt(group, 16)];
    const [a = 0, b = 0, c = 0, d = 0] = group.split(".").map(Number);
    return [a * 256 + b, c * 256 + d];
  });
