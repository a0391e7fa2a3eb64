/** Whether a numeric column can hold a number, said by its digits: a double would round them. */

/**
 * A number in decimal, as JSON and JavaScript write it, without blanks around it. Postgres takes other forms, too (NaN, 0x1F, 1_000).
 * There is one way to read a text: a client's text may be long.
 */
const DECIMAL = /^[+-]?(\d*)(?:\.(\d*))?(?:e([+-]?\d+))?$/i;
const INFINITE = /^[+-]?inf(?:inity)?$/i;
/** Digits of a numeric without a precision, before and after the point. */
const WHOLE_MAX = 131_072;
const SCALE_MAX = 16_383;
/** Postgres reads no exponent beyond this, of 0 either. */
const EXPONENT_MAX = 1_073_741_823;

/** What a numeric column is declared with. */
interface Digits {
  precision: number;
  scale: number;
}

/** Makes the check of a `numeric` or `numeric(precision, scale)`, which says whether a text is a decimal beyond its limits. */
export function decimalBeyond(digits: Digits | undefined): (text: string) => boolean {
  const wholeMax = digits === undefined ? WHOLE_MAX : digits.precision - digits.scale;
  const roundsUp = new RegExp(`^9{${digits?.precision ?? 0}}[5-9]`); // to one digit more
  return (given) => {
    const text = given.trim();
    if (digits !== undefined && INFINITE.test(text)) return true;
    const [, whole = "", fraction = "", exponent = "0"] = DECIMAL.exec(text) ?? [];
    if (Math.abs(Number(exponent)) > EXPONENT_MAX) return true;
    if (digits === undefined && fraction.length - Number(exponent) > SCALE_MAX) return true;
    const significant = `${whole}${fraction}`.replace(/^0+/, "");
    if (significant === "") return false;
    const wholeDigits = significant.length - fraction.length + Number(exponent);
    if (digits === undefined) return wholeDigits > wholeMax;
    return wholeDigits > wholeMax || (wholeDigits === wholeMax && roundsUp.test(significant));
  };
}
