/** The client of a public key: by the last hop of X-Forwarded-For, or by its socket. */
import { expect, test } from "vitest";
import { AddressRates } from "../../lib/access/address-rates.ts";
import { clientAddress } from "../../lib/access/client-address.ts";

const PEER = "198.51.100.9";

test.each<[forwardedFor: string | undefined, address: string]>([
  ["192.0.2.1", "192.0.2.1"],
  ["203.0.113.5, 192.0.2.1", "192.0.2.1"],
  ["forged,,203.0.113.5 ,\t192.0.2.1 ", "192.0.2.1"],
  ["192.0.2.1:50123", "192.0.2.1"],
  ['"192.0.2.1:50123"', "192.0.2.1"],
  ["2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"],
  ["2001:0DB8:0001:0002:ffff::1", "2001:db8:1:2::/64"],
  ["a, 2001:db8:1:2::", "2001:db8:1:2::/64"],
  ["[2001:db8:1:2::9]", "2001:db8:1:2::/64"],
  ["[2001:db8:1:2::9]:443", "2001:db8:1:2::/64"],
  ['"[2001:db8:1:2::9]:443"', "2001:db8:1:2::/64"],
  ["2001:db8:1:3::9", "2001:db8:1:3::/64"],
  ["::1", "0:0:0:0::/64"],
  ["::", "0:0:0:0::/64"],
  ["1::", "1:0:0:0::/64"],
  ["fe80::1%eth0", "fe80:0:0:0::/64"],
  ["::ffff:192.0.2.1", "192.0.2.1"],
  ["::FFFF:c000:0201", "192.0.2.1"],
  ["64:ff9b::192.0.2.1", "64:ff9b:0:0::/64"],
  // No address: the peer of the socket.
  [undefined, PEER],
  ["", PEER],
  ["192.0.2.1,", PEER],
  ["192.0.2.1, ", PEER],
  ["unknown", PEER],
  ["_hidden", PEER],
  ["192.0.2.256", PEER],
  ["2001:db8::1::2", PEER],
  ["[192.0.2.1", PEER],
  ["x".repeat(10_000), PEER],
])("X-Forwarded-For %j is %s", (forwardedFor, address) => {
  expect(clientAddress(forwardedFor, PEER)).toBe(address);
});

test("a peer that the socket gives as IPv6, or no longer knows", () => {
  expect(clientAddress(undefined, "::ffff:127.0.0.1")).toBe("127.0.0.1");
  expect(clientAddress(undefined, "2001:db8:1:2::7")).toBe("2001:db8:1:2::/64");
  expect(clientAddress(undefined, undefined)).toBe("unknown");
});

const key = (perAddressPerSecond: number | undefined, name = "page") => ({ name, perAddressPerSecond });

test("an address has 10 events a second and a burst of 20, if its key says nothing else", () => {
  let nowMs = 5000;
  const rates = new AddressRates(() => nowMs);
  expect(rates.take(key(undefined), "a", 20)).toBe(0);
  expect([rates.take(key(undefined), "a", 1), rates.waitSeconds(key(undefined), "a")]).toEqual([1, 1]);
  expect([rates.take(key(undefined), "b", 1), rates.take(key(undefined, "other"), "a", 1)]).toEqual([0, 0]);
  nowMs += 500;
  expect([rates.take(key(undefined), "a", 6), rates.take(key(undefined), "a", 5)]).toEqual([1, 0]);
  nowMs += 3_600_000;
  expect([rates.take(key(undefined), "a", 1000), rates.waitSeconds(key(undefined), "a")]).toEqual([0, 99]);
});

test("a slow rate lets single events pass", () => {
  let nowMs = 0;
  const rates = new AddressRates(() => nowMs);
  expect([rates.take(key(0.1), "a", 1), rates.take(key(0.1), "a", 1)]).toEqual([0, 10]);
  nowMs += 10_000;
  expect(rates.take(key(0.1), "a", 1)).toBe(0);
});

test("of too many addresses the least recently used is forgotten", () => {
  const rates = new AddressRates(() => 0, 3);
  for (const address of ["a", "b", "c"]) rates.take(key(1), address, 2);
  rates.waitSeconds(key(1), "a");
  rates.take(key(1), "d", 2);
  const waits = ["a", "c", "d"].map((address) => rates.waitSeconds(key(1), address));
  expect([...waits, rates.waitSeconds(key(1), "b")]).toEqual([1, 1, 1, 0]);
});

test("10,000 addresses are remembered, and no more", () => {
  const rates = new AddressRates(() => 0);
  for (let i = 0; i < 10_000; i += 1) rates.take(key(1), `${i}`, 2);
  expect(rates.waitSeconds(key(1), "0")).toBe(1);
  rates.take(key(1), "one more", 2);
  expect([rates.waitSeconds(key(1), "1"), rates.waitSeconds(key(1), "9999")]).toEqual([0, 1]);
});
