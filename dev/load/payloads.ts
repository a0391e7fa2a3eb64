/**
 * What is sent: GitHub's webhook examples as `events` (10 KB in the mean) and generated GPS points as `locations`
 * (120 bytes). Every alternative gets the same bodies in the same order.
 */
import { createRequire } from "node:module";

/** Which events a load is made of; `mixed` takes turns request by request. `large`: texts, so that 1,000 in a post are 8 MB. */
export type Kind = "gps" | "webhooks" | "mixed" | "large";

export interface Post {
  stream: "events" | "locations";
  body: string;
  events: number;
}

interface Examples {
  name: string;
  examples: unknown[];
}

const BODIES = 256;

function webhooks(): object[] {
  const examples = createRequire(import.meta.url)("@octokit/webhooks-examples") as Examples[];
  return examples.flatMap(({ name, examples }) =>
    examples.map((payload) => ({ type: `github.${name}`, payload })),
  );
}

/** The i-th point of a walk through Zürich; the same in every run. */
export function gpsPoint(i: number): object {
  const angle = i / 100;
  return {
    userId: `driver-${i % 500}`,
    lat: Number((47.3769 + Math.sin(angle) / 10).toFixed(6)),
    lng: Number((8.5417 + Math.cos(angle) / 10).toFixed(6)),
    accuracy: 5 + (i % 20),
    speed: (i % 300) / 10,
    recordedAt: new Date(Date.UTC(2026, 10, 1) + i * 1000).toISOString(),
  };
}

/** The i-th text of 8 KB, which is like no other. */
const largeText = (i: number): object => ({
  type: "text",
  payload: { text: `${i} `.repeat(9000).slice(0, 8300) },
});

/** The i-th event of a kind that is not mixed. */
export function eventMaker(kind: Exclude<Kind, "mixed">): (i: number) => object {
  if (kind === "gps") return gpsPoint;
  if (kind === "large") return largeText;
  const all = webhooks();
  return (i) => all[i % all.length] ?? {};
}

/** Bodies to send in turn: single events, or arrays of `perPost`. */
export function makePosts(kind: Kind, perPost: number): Post[] {
  if (kind === "mixed") {
    const [gps, hooks] = [makePosts("gps", perPost), makePosts("webhooks", perPost)];
    return gps.flatMap((post, i) => [post, hooks[i] ?? post]);
  }
  const make = eventMaker(kind);
  const bodies = perPost === 1 ? BODIES : kind === "large" ? 4 : 16;
  return Array.from({ length: bodies }, (_, i) => {
    const events = Array.from({ length: perPost }, (_, j) => make(i * perPost + j));
    return {
      stream: kind === "gps" ? "locations" : "events",
      body: JSON.stringify(perPost === 1 ? events[0] : events),
      events: perPost,
    };
  });
}
