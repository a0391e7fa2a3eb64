/** What every stream promises, tested for each file of streams/ on a real Redis and a real Postgres. A new stream needs no test of its own. */
import { testStreams } from "spillway/testing";

testStreams(new URL("../streams/", import.meta.url));
