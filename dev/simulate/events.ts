/**
 * The events of a simulation. Each has a number, and its content follows from the seed and this number. So a stored row can be
 * compared with the event that was sent, and no sent event needs to be kept.
 */
import { randomOf } from "./random.ts";

export const STREAMS = ["events", "locations", "activities", "leads"] as const;
export type StreamName = (typeof STREAMS)[number];

/** One in so many events is refused by its table, by a constraint that only the simulation has. */
const POISON_EVERY: Partial<Record<StreamName, number>> = { locations: 500, leads: 10 };
/** The constraint's name, and what it refuses. */
export const POISON_CONSTRAINT = "simulated_poison";
export const POISON_SPEED = 13.5;
export const POISON_SOURCE = "poison";

/** One in so many events is refused by a trigger, while that is there. */
const RAISED_EVERY = 97;
const RAISED_REST = 5;
/** The SQLSTATE that the trigger raises. */
const RAISED = "P0001";

/** One event in this many is large enough to be packed in the buffer, where it has a text. */
const LARGE_EVERY = 16;

const WORDS = ["réply", "tool", "call", "😀", '"quoted"', "back\\slash", "line\nbreak", "日本語", "null"];

const isPoison = (stream: StreamName, n: number): boolean => n % (POISON_EVERY[stream] ?? Infinity) === 7;
const isRaised = (n: number): boolean => n % RAISED_EVERY === RAISED_REST;

/** Whether the constraint refuses this event, or the trigger would. */
export const isBad = (stream: StreamName, n: number): boolean => isPoison(stream, n) || isRaised(n);

/** Whether Postgres's reason for refusing an event is the event's own fault, and no fault that was inflicted. */
export const isOwnFault = (stream: StreamName, n: number, reason: string): boolean =>
  (isPoison(stream, n) && reason.includes(POISON_CONSTRAINT)) || (isRaised(n) && reason.includes(RAISED));

/** SQL that is true of a new row that the trigger refuses. */
export const raisedRule = (stream: StreamName): string => {
  const columns = { locations: "user_id", activities: "contact_id", leads: "name" };
  const number = stream === "events" ? "new.payload ->> 'n'" : `substr(new.${columns[stream]}, 3)`;
  return `(${number})::int % ${RAISED_EVERY} = ${RAISED_REST}`;
};

/** The event with this number, as it is sent (without an id). */
export function eventOf(seed: number, stream: StreamName, n: number): Record<string, unknown> {
  const random = randomOf(seed ^ Math.imul(n + 1, 2_654_435_761));
  const words = n % LARGE_EVERY === 3 ? random.whole(300, 600) : random.whole(1, 12);
  const text = Array.from({ length: words }, () => random.pick(WORDS)).join(" ");
  const moment = new Date(1_780_000_000_000 + n * 1000 + random.whole(0, 999)).toISOString();
  switch (stream) {
    case "events":
      return {
        type: `simulated.${random.whole(1, 9)}`,
        payload: {
          n,
          text,
          nested: { list: [random.next(), null, true, random.whole(-1e9, 1e9)], empty: {} },
        },
        ...(random.next() < 0.5 ? { userId: `user-${random.whole(1, 1000)}` } : {}),
        occurredAt: moment,
      };
    case "locations":
      return {
        userId: `n-${n}`,
        lat: random.next() * 180 - 90,
        lng: random.next() * 360 - 180,
        speed: isPoison(stream, n) ? POISON_SPEED : random.whole(0, 12),
        recordedAt: moment,
      };
    case "activities":
      return { contactId: `n-${n}`, type: "note", description: text };
    case "leads":
      return { name: `n-${n}`, source: isPoison(stream, n) ? POISON_SOURCE : "simulation", notes: text };
  }
}

/** The columns of a stored row, as the event that made it and the number it says it has. */
export function eventOfRow(stream: StreamName, row: Record<string, unknown>): { n: number; event: unknown } {
  const { id: _id, received_at: _received, stored_at: _stored, ...own } = row;
  const fields = Object.entries(own)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [
      name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value instanceof Date ? value.toISOString() : value,
    ]);
  const event = Object.fromEntries(fields) as Record<string, unknown>;
  return { n: numberOf(stream, event), event };
}

/** The number that an event carries. */
export function numberOf(stream: StreamName, event: Record<string, unknown>): number {
  if (stream === "events") return (event.payload as { n: number }).n;
  const marked = { locations: event.userId, activities: event.contactId, leads: event.name }[stream];
  return Number(String(marked).slice(2));
}
