/** A list that grows at its end and may lose any of its values, each in constant time. It holds on to none that it lost. */

export interface Link<T> {
  readonly value: T;
  before: Link<T> | undefined;
  after: Link<T> | undefined;
}

export class Chain<T> {
  #first: Link<T> | undefined;
  #last: Link<T> | undefined;

  add(value: T): Link<T> {
    const link: Link<T> = { value, before: this.#last, after: undefined };
    if (this.#last) this.#last.after = link;
    else this.#first = link;
    this.#last = link;
    return link;
  }

  remove(link: Link<T>): void {
    if (link.before) link.before.after = link.after;
    else this.#first = link.after;
    if (link.after) link.after.before = link.before;
    else this.#last = link.before;
  }

  get first(): T | undefined {
    return this.#first?.value;
  }

  /** The first value of this kind. Looks at those before it only. */
  find(isIt: (value: T) => boolean): T | undefined {
    for (const value of this) if (isIt(value)) return value;
    return undefined;
  }

  /** The value that is reached may be removed meanwhile; others may not. */
  *[Symbol.iterator](): Generator<T> {
    for (let link = this.#first; link; ) {
      const { after } = link;
      yield link.value;
      link = after;
    }
  }
}
