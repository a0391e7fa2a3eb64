/** The beginning of a query for people, without any value: it ends before the first literal and the first comment. */

const BEGINNING_MAX = 80;
/** A string, a dollar quote, a number that is not part of a name or of a placeholder, a comment. */
const FIRST_VALUE = /'|\$(?!\d)|(?<![\p{L}\p{N}_$"])[.-]?\d|--|\/\*/u;

/** `query` may be cut off anywhere. "…" stands for what is left out. */
export function beginningOf(query: string): string {
  const at = query.search(FIRST_VALUE);
  const plain = (at < 0 ? query : query.slice(0, at)).replaceAll(/\s+/g, " ").trim();
  const short = plain.slice(0, BEGINNING_MAX).trim();
  return at < 0 && short === plain ? short : `${short} …`;
}
