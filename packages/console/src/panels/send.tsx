/** Sends a test event: a text box with the stream's example, and the same as curl, fetch and Python. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { CONSOLE_INGEST } from "../../../../lib/contract/console.ts";
import { act } from "../act.ts";
import { snippetsOf } from "../model/send-snippets.ts";
import { described, describeStreams } from "../open-api.ts";
import { request } from "../server.ts";
import { about } from "../state.ts";
import { Button, READ_ONLY } from "./button.tsx";
import { Panel } from "./panel.tsx";
import { Code } from "./scroll.tsx";

export function Send() {
  return (
    <Panel id="send" title="Send a test event">
      {about.value?.canSend ? <Form /> : <CannotSend />}
    </Panel>
  );
}

const CannotSend = () => (
  <p>
    {about.value?.canWrite
      ? "Sending needs an API key in SPILLWAY_API_KEY, set before the console starts."
      : `${READ_ONLY} Sending needs an API key in SPILLWAY_API_KEY besides.`}
  </p>
);

const NO_EXAMPLE = "{\n}";

function Form() {
  const stream = useSignal("");
  const text = useSignal(NO_EXAMPLE);
  const answer = useSignal("");
  const choose = (name: string) => {
    stream.value = name;
    text.value = described.value?.find((one) => one.name === name)?.example ?? NO_EXAMPLE;
    answer.value = "";
  };
  useEffect(() => {
    void act(async () => {
      await describeStreams();
      choose(described.value?.[0]?.name ?? "");
      return "";
    });
  }, []);
  const send = () =>
    act(async () => {
      const response = await request("POST", `${CONSOLE_INGEST}/v1/${stream.value}`, { text: text.value });
      const body = await response.json().catch(() => null);
      answer.value = `${response.status}\n${JSON.stringify(body, null, 2)}`;
      return `Ingest answered ${response.status}.`;
    });
  if (described.value?.length === 0) return <p>No stream takes events yet.</p>;
  return (
    <>
      <div class="row">
        <label>
          Stream{" "}
          <select
            id="send-stream"
            value={stream.value}
            onChange={(event) => choose(event.currentTarget.value)}
          >
            {(described.value ?? []).map(({ name }) => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </label>
      </div>
      <label for="send-event">Event, as JSON</label>
      <textarea
        id="send-event"
        rows={8}
        spellcheck={false}
        value={text.value}
        onInput={(event) => {
          text.value = event.currentTarget.value;
        }}
      />
      <div class="row">
        <Button run={send} writes primary disabled={stream.value === ""}>
          Send
        </Button>
      </div>
      {answer.value !== "" && <Code id="send-answer">{answer.value}</Code>}
      <Snippets stream={stream.value} text={text.value} />
    </>
  );
}

function Snippets({ stream, text }: { stream: string; text: string }) {
  const url = about.value?.ingestUrl;
  if (url == null || stream === "") return null;
  return (
    <>
      {snippetsOf(url, stream, text).map(({ name, text: code }) => (
        <details key={name}>
          <summary>The same with {name}</summary>
          <Code>{code}</Code>
        </details>
      ))}
      <p class="note">Set SPILLWAY_API_KEY to your key. That of npm start is apiKey in .local/stack.json.</p>
    </>
  );
}
