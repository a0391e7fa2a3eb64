#!/usr/bin/env node
// `spillway`: runs dev/operate/ in this process, so that signals and the exit status are its own. In a checkout that is TypeScript, in the
// package JavaScript. tsx reads TypeScript: Spillway's own in a checkout, and everywhere the streams of an installation. An image has no tsx
// and compiled streams.
import { existsSync } from "node:fs";

const source = new URL("../dev/operate/spillway.ts", import.meta.url);
const built = new URL("../dist/dev/operate/spillway.js", import.meta.url);

try {
  const { register } = await import("tsx/esm/api");
  register();
} catch (error) {
  if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
}
await import(existsSync(source) ? source : built);
