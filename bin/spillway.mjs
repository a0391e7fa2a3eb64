#!/usr/bin/env node
// `spillway` of this checkout: runs the TypeScript of dev/operate/ in this process, so that signals and the exit status are its own.
import { register } from "tsx/esm/api";

register();
await import("../dev/operate/spillway.ts");
