/**
 * Whether a push from depth `before` to depth `after` crosses threshold · 2^k for some k ≥ 0. LPUSH's reply is the depth after
 * the push. So while a list grows, exactly one push sees each crossing, without shared state.
 */
export function crosses(before: number, after: number, threshold: number): boolean {
  const steps = (depth: number) => (depth < threshold ? -1 : Math.floor(Math.log2(depth / threshold)));
  return steps(after) > steps(before);
}
