/**
 * E-mail addresses as RFC 6531 has them: letters beyond ASCII on both sides of the @, and domains in either of their spellings
 * (bücher.example, xn--bcher-kva.example). Not accepted, as most mail servers do: quotes, comments, and domains without a dot.
 */

/** A character beyond ASCII that is visible, or joins two that are (ZWNJ, ZWJ). */
const BEYOND_ASCII = String.raw`[^\p{ASCII}\p{C}\p{Z}]|[\u200c\u200d]`;
const WORD = String.raw`(?:[a-zA-Z\d!#$%&'*+\/=?^_\x60{|}~-]|${BEYOND_ASCII})+`;
const LABEL = String.raw`[\p{L}\p{N}](?:[\p{L}\p{N}\p{M}\u200c\u200d-])*`;
const LAST_LABEL = String.raw`(?:xn--[a-zA-Z\d-]+|\p{L}[\p{L}\p{M}\u200c\u200d]+)`;

export const EMAIL = new RegExp(String.raw`^${WORD}(?:\.${WORD})*@(?:${LABEL}\.)+${LAST_LABEL}$`, "u");
