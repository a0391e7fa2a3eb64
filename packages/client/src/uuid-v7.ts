/** UUIDs of version 7 (RFC 9562): 48 bits of time, then random bits. Spillway takes them as an event's id, as they are. */

/** Fills the array with random bytes and returns it, as `crypto.getRandomValues` does. */
export type Random = (bytes: Uint8Array) => Uint8Array;

/** Finds a source of random bytes. Throws one line that says what helps if the platform has none. */
export function randomOf(given: Random | undefined): Random {
  if (given) return given;
  if (!globalThis.crypto?.getRandomValues)
    throw new Error("import react-native-get-random-values first, or give `random`");
  return (bytes) => crypto.getRandomValues(bytes as Uint8Array<ArrayBuffer>);
}

/** Makes a UUIDv7. A clock before 1970 counts as 1970. */
export function uuidV7(random: Random, nowMs: number): string {
  const bytes = random(new Uint8Array(10));
  const time = Math.max(0, nowMs).toString(16).padStart(12, "0");
  const hex = bytes.reduce((text, byte) => text + (byte + 256).toString(16).slice(1), time);
  const variant = "89ab"[(bytes[9] as number) % 4];
  return hex.replace(/(.{8})(.{4}).(.{3}).(.{3})/, `$1-$2-7$3-${variant}$4-`);
}
