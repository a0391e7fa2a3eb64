/** JSON for people. */

/** Numbers with so many digits change in JavaScript. */
const LONG_NUMBER = /\d{16}/;

/** Sets JSON in lines. A text that is no JSON, or whose numbers would change, stays as it is. */
export function shownJson(text: string): string {
  if (LONG_NUMBER.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
