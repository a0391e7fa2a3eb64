/** The streams that the examples send to. */
import githubEvents from "../../../../examples/github/github_events.ts";
import events from "../../../../test/streams/events.ts";
import locations from "../../../../test/streams/locations.ts";

export const exampleStreams = [events, locations, githubEvents];
