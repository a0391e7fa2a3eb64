/** This repository as an installation: the deployer's streams and migrations. */
import { fileURLToPath, pathToFileURL } from "node:url";
import { installationAt } from "../lib/installation.ts";
import { loadStreams } from "../lib/schema/registry.ts";

export const ownInstallation = installationAt(fileURLToPath(new URL(".", import.meta.url)));

/** Loads the streams of lib/streams/. */
export const loadOwnStreams = () => loadStreams(pathToFileURL(ownInstallation.streams));
