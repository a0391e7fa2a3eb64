/** A list that grows at its end and may lose any of its values, each in constant time. It holds on to none that it lost. */

export interface Link<T> {
  value: T | undefined;
  before: Link<T>;
  after: Link<T>;
}

export class Chain<T> {
  /** Stands before the first link and after the last. */
  readonly #ends: Link<T>;

  constructor() {
    const ends = { value: undefined } as Link<T>;
    ends.before = ends.after = ends;
    this.#ends = ends;
  }

  add(value: T): Link<T> {
    const { before } = this.#ends;
    const link = { value, before, after: this.#ends };
    before.after = this.#ends.before = link;
    return link;
  }

  remove({ before, after }: Link<T>): void {
    before.after = after;
    after.before = before;
  }

  get first(): T | undefined {
    return this.#ends.after.value;
  }

  /** The value that is reached may be removed meanwhile. */
  *[Symbol.iterator](): Generator<T> {
    for (let link = this.#ends.after; link !== this.#ends; link = link.after) yield link.value as T;
  }
}
