/** Splits items, in order, into parts of at most `maxCount` items and `maxBytes` bytes. A larger item is a part of its own. */
export function split<Item>(
  items: readonly Item[],
  bytesOf: (item: Item) => number,
  { maxCount, maxBytes }: { maxCount: number; maxBytes: number },
): { items: Item[]; bytes: number }[] {
  const parts: { items: Item[]; bytes: number }[] = [];
  for (const item of items) {
    const bytes = bytesOf(item);
    const last = parts.at(-1);
    if (last && last.bytes + bytes <= maxBytes && last.items.length < maxCount) {
      last.items.push(item);
      last.bytes += bytes;
    } else parts.push({ items: [item], bytes });
  }
  return parts;
}
