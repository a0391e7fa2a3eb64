/**
 * The token of this console's start. It comes in the fragment of the address that was printed, which no request holds. It is taken out of
 * the address, so that neither a screenshot nor a copied address gives it away, and kept for this tab, so that the page can be reloaded.
 */

const NAME = "spillway-console-token";
const FRAGMENT = /^#([\w-]{20,})$/;

// The address of a later start differs in its fragment alone, if the port is the same: then a browser does not load the page anew.
addEventListener("hashchange", () => {
  if (FRAGMENT.test(location.hash)) location.reload();
});

/** Takes the token; null: the page was opened by another address. */
export function takeToken(): string | null {
  const [, token] = FRAGMENT.exec(location.hash) ?? [];
  if (token === undefined) return sessionStorage.getItem(NAME);
  sessionStorage.setItem(NAME, token);
  history.replaceState(null, "", location.pathname);
  return token;
}
