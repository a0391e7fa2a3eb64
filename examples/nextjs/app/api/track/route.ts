/**
 * A route handler of Next.js. A serverless function may be frozen after its answer, so it flushes before. With a platform that has it, `waitUntil`
 * in `createClient` lets the answer go first.
 */
import { createClient } from "spillway/client";

interface Streams {
  events: { type: string; payload: unknown };
}

const spillway = createClient<Streams>({
  url: process.env.INGEST_URL ?? "",
  key: process.env.SPILLWAY_KEY ?? "",
});

export async function POST(request: Request): Promise<Response> {
  const { id, outcome } = spillway.send("events", { type: "example.nextjs", payload: await request.json() });
  const isSettled = await spillway.flush({ withinMs: 5000 });
  if (!isSettled) return Response.json({ id }, { status: 503 });
  const end = await outcome;
  return Response.json(end, { status: end.kind === "refused" ? 422 : 202 });
}
