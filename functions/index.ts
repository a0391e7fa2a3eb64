/** The entry point of this repository's own deployment: serves the streams of lib/streams/. */
import { serve } from "./server.ts";

await serve(new URL("../lib/streams/", import.meta.url));
