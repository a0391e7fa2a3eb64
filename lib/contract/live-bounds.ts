/** The bounds of `GET /live` of the supervisor (live.ts), as values for whoever writes or reads its lines. */

/** The media type of the response. Each line ends with a newline. */
export const LIVE_MEDIA_TYPE = "application/x-ndjson";

/** How far the history goes back, in milliseconds. */
export const LIVE_HISTORY_MS = 900_000;
/** The length of a quarter of an hour, and how far back stored events are counted, in milliseconds: the longest day has 25 hours. */
export const LIVE_QUARTER_MS = 900_000;
export const LIVE_COUNTED_MS = 93_600_000;
/** The most ids in one line of a batch, of its first events. */
export const LIVE_IDS_MAX = 20;
/** The most rows in one line of a table. */
export const LIVE_ROWS_MAX = 20;
/** The most responses at once; one more is refused with instance-busy. */
export const LIVE_VIEWERS_MAX = 20;
/** If nothing changes for so long, the response ends as idle, in milliseconds. */
export const LIVE_IDLE_MS = 600_000;
/** The longest that a response lasts, in milliseconds: Cloud Run ends a request after an hour. */
export const LIVE_LONGEST_MS = 3_300_000;
/** The longest pause between two lines, in milliseconds: longer silence means that the connection is lost. */
export const LIVE_SILENCE_MS = 15_000;
