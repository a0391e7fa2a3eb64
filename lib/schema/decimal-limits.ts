/** Whether a numeric column can hold a number, said by its digits: a double would round them. */

/** A number in decimal, as JSON and JavaScript write it. Postgres takes other forms, too (NaN, 0x1F, 1_000). */
const DECIMAL = /^\s*[+-]?(\d*)\.?(\d*)(?:e([+-]?\d{1,9}))?\s*$/i;
/** Digits of a numeric without a precision, before and after the point. */
const WHOLE_MAX = 131_072;
const SCALE_MAX = 16_383;

/** What a numeric column is declared with. */
interface Digits {
  precision: number;
  scale: number;
}

/** Makes the check of a `numeric` or `numeric(precision, scale)`, which says whether a text is a decimal beyond its limits. */
export function decimalBeyond(digits: Digits | undefined): (text: string) => boolean {
  const wholeMax = digits === undefined ? WHOLE_MAX : digits.precision - digits.scale;
  const roundsUp = new RegExp(`^9{${digits?.precision ?? 0}}[5-9]`); // to one digit more
  return (text) => {
    const [, whole = "", fraction = "", exponent = "0"] = DECIMAL.exec(text) ?? [];
    const significant = `${whole}${fraction}`.replace(/^0+/, "");
    if (significant === "") return false;
    const wholeDigits = significant.length - fraction.length + Number(exponent);
    if (digits === undefined) return wholeDigits > wholeMax || fraction.length - Number(exponent) > SCALE_MAX;
    return wholeDigits > wholeMax || (wholeDigits === wholeMax && roundsUp.test(significant));
  };
}
