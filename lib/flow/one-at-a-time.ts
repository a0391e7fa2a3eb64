/** Makes a function that runs works one after another, in the order in which they came. A work that fails does not stop the next. */
export function oneAtATime() {
  let last: Promise<unknown> = Promise.resolve();
  return function run<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = last.then(work);
    last = result.catch(() => {});
    return result;
  };
}
