/** Judges whether a folder's name may be the name of a package: by the rules of npm, in one sentence. */

/** npm refuses these, because they have another meaning inside node_modules. */
const RESERVED = new Set(["node_modules", "favicon.ico"]);
const LENGTH_MAX = 214;

/** Says why npm would refuse the name; undefined: it would not. `dependencies`: a package can't depend on its own name. */
export function whyNoPackageName(name: string, dependencies: readonly string[]): string | undefined {
  if (!/^[a-z0-9][a-z0-9._-]*$/.test(name))
    return "it may have a-z, 0-9, '-', '_' and '.', and begins with a letter or a digit";
  if (name.length > LENGTH_MAX) return `it may have ${LENGTH_MAX} characters at most`;
  if (RESERVED.has(name)) return "npm reserves it";
  if (dependencies.includes(name)) return "a package of this name is among its dependencies";
  return undefined;
}
