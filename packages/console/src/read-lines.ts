/** Reads a response of lines, each a JSON object, and hands over those that have come together. */
export async function* readLines<Line>(response: Response): AsyncGenerator<Line[]> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n");
    rest = parts.pop() ?? "";
    const lines = parts.filter((part) => part !== "").map((part) => JSON.parse(part) as Line);
    if (lines.length > 0) yield lines;
  }
}
