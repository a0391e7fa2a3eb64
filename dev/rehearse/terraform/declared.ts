/**
 * Reads from Terraform's files, as `terraform fmt` writes them, which attributes and blocks each type of resource has there. So the
 * rehearsal's provider knows a schema without the real providers' (whether an argument exists is checked elsewhere): what a file sets,
 * what it ignores, and what other resources refer to.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

export interface Block {
  /** False: somebody may set it. True: only the provider does. */
  attributes: Map<string, { isComputed: boolean }>;
  blocks: Map<string, Block>;
}

/** By the type of resource, and by `provider NAME`. */
export type Declared = Map<string, Block>;

const newBlock = (): Block => ({ attributes: new Map(), blocks: new Map() });
/** What Terraform itself reads of a resource. */
const META = new Set([
  "for_each",
  "count",
  "provider",
  "depends_on",
  "connection",
  "provisioner",
  "precondition",
]);

/** Reads a folder with its modules. */
export function readDeclared(folder: string): Declared {
  const declared: Declared = new Map();
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter(
    (file) => file.endsWith(".tf") && !file.startsWith(".terraform"),
  );
  const texts = files.map((file) => readFileSync(join(folder, file), "utf8"));
  for (const text of texts) new Reader(text).readFile(declared);
  for (const text of texts) addReferences(text, declared);
  for (const block of declared.values()) addComputed(block, "id");
  return declared;
}

function addComputed({ attributes, blocks }: Block, name: string): void {
  if (!attributes.has(name) && !blocks.has(name)) attributes.set(name, { isComputed: true });
}

/** `TYPE.NAME.ATTRIBUTE`, also with an index. */
function addReferences(text: string, declared: Declared): void {
  for (const [, type = "", name = ""] of text.matchAll(/\b([a-z]+_\w+)\.\w+(?:\[[^\]]*\])?\.(\w+)/g)) {
    const block = declared.get(type);
    if (block) addComputed(block, name);
  }
}

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text.replaceAll(/^\s*(#|\/\/).*$/gm, "");
  }

  readFile(declared: Declared): void {
    const top = /^(\w+)((?: "[^"]*")*) \{\s*?\n/gm;
    for (const match of this.#text.matchAll(top)) {
      const [, kind, labels = ""] = match;
      const [label = ""] = labels.match(/[^" ]+/g) ?? [];
      const type = kind === "resource" ? label : kind === "provider" ? `provider ${label}` : undefined;
      if (type === undefined) continue;
      this.#at = match.index + match[0].length;
      const block = declared.get(type) ?? newBlock();
      declared.set(type, block);
      this.#readBody(block);
    }
  }

  /** Reads up to the brace that closes the body. */
  #readBody(block: Block): void {
    for (;;) {
      const rest = this.#text.slice(this.#at);
      const [space = ""] = /^\s*/.exec(rest) ?? [];
      this.#at += space.length;
      if (rest[space.length] === "}" || rest.length === space.length) return void this.#at++;
      const [head = "", name = "", labels = "", sign] =
        /^(\w+)((?: "[^"]*")*)\s*(=|\{)/.exec(rest.slice(space.length)) ?? [];
      if (head === "") throw new Error(`expected an attribute or a block, got ${rest.slice(0, 80)}`);
      this.#at += head.length;
      if (sign === "=") this.#readAttribute(block, name);
      else this.#readBlock(block, name, labels);
    }
  }

  #readAttribute(block: Block, name: string): void {
    const beganAt = this.#at;
    this.#skipExpression();
    if (name === "ignore_changes") this.#addIgnored(block, this.#text.slice(beganAt, this.#at));
    else if (!META.has(name)) block.attributes.set(name, { isComputed: false });
  }

  #readBlock(block: Block, name: string, labels: string): void {
    const [label = ""] = labels.match(/[^" ]+/g) ?? [];
    const isDynamic = name === "dynamic";
    const isOther = isDynamic || META.has(name);
    const inner = name === "lifecycle" ? lifecycleOf(block) : isOther ? newBlock() : blockOf(block, name);
    this.#readBody(inner);
    const content = inner.blocks.get("content");
    if (isDynamic && content) merge(blockOf(block, label), content);
  }

  #addIgnored(lifecycle: Block, text: string): void {
    const block = owners.get(lifecycle);
    for (const [path] of text.matchAll(/[a-z_]+(?:\[\d+\])?(?:\.[a-z_]+(?:\[\d+\])?)*/g)) {
      const names = path.replaceAll(/\[\d+\]/g, "").split(".");
      const last = names.pop() as string;
      const inner = names.reduce(blockOf, block as Block);
      if (!inner.blocks.has(last)) inner.attributes.set(last, { isComputed: false });
    }
  }

  /** Skips to the end of the line on which the expression ends. */
  #skipExpression(): void {
    let depth = 0;
    for (; this.#at < this.#text.length; this.#at++) {
      const char = this.#text[this.#at] as string;
      if (char === '"') this.#skipString();
      else if ("([{".includes(char)) depth++;
      else if (")]}".includes(char)) depth--;
      else if (char === "\n" && depth === 0) return;
      else if (char === "#") this.#at = this.#text.indexOf("\n", this.#at) - 1;
    }
  }

  /** Ends at the closing quote; templates in it may hold strings. */
  #skipString(): void {
    for (this.#at++; this.#text[this.#at] !== '"'; this.#at++) {
      if (this.#text[this.#at] === "\\") this.#at++;
      else if (/^[$%]\{/.test(this.#text.slice(this.#at, this.#at + 2))) this.#skipTemplate();
    }
  }

  #skipTemplate(): void {
    let depth = 0;
    for (this.#at++; ; this.#at++) {
      const char = this.#text[this.#at];
      if (char === '"') this.#skipString();
      else if (char === "{") depth++;
      else if (char === "}" && --depth === 0) return;
    }
  }
}

/** Whose lifecycle it is: what it ignores belongs to the resource. */
const owners = new WeakMap<Block, Block>();

function lifecycleOf(block: Block): Block {
  const lifecycle = newBlock();
  owners.set(lifecycle, block);
  return lifecycle;
}

function blockOf(block: Block, name: string): Block {
  const found = block.blocks.get(name) ?? newBlock();
  block.attributes.delete(name);
  block.blocks.set(name, found);
  return found;
}

function merge(into: Block, from: Block): void {
  for (const [name, attribute] of from.attributes) into.attributes.set(name, attribute);
  for (const [name, block] of from.blocks) merge(blockOf(into, name), block);
}
