/** UUIDs of version 7 (RFC 9562): 48 bits of time, then random bits. Spillway takes them as an event's id, as they are. */

/** Fills the array with random bytes and returns it, as `crypto.getRandomValues` does. */
export type Random = (bytes: Uint8Array) => Uint8Array;

/** Finds a source of random bytes. Throws one line that says what helps if the platform has none. */
export function randomOf(given: Random | undefined): Random {
  if (given) return given;
  if (typeof globalThis.crypto?.getRandomValues === "function")
    return (bytes) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
  throw new Error(
    'crypto.getRandomValues is missing: import "react-native-get-random-values" before anything else, or give createClient `random`',
  );
}

/** Makes a UUIDv7. A clock before 1970 counts as 1970. */
export function uuidV7(random: Random, nowMs: number): string {
  const time = Math.max(0, Math.floor(nowMs)).toString(16).padStart(12, "0");
  const hex = Array.from(random(new Uint8Array(10)), (byte) => (byte + 256).toString(16).slice(1)).join("");
  const variant = "89ab"[Number.parseInt(hex[4] as string, 16) % 4];
  const parts = [
    time.slice(0, 8),
    time.slice(8),
    `7${hex.slice(1, 4)}`,
    variant + hex.slice(5, 8),
    hex.slice(8),
  ];
  return parts.join("-");
}
