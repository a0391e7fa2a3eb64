/** What the tests' page has: the client as it is published, the client whose pace a test may set, and the stores' promises. */
import { makeClient } from "../../src/client.ts";
import { createClient, indexedDb } from "../../src/index.ts";
import { promises } from "../store-contract.ts";

const spillway = { createClient, makeClient, indexedDb, promises };
export type Spillway = typeof spillway;
Object.assign(globalThis, { spillway });
