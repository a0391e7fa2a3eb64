/**
 * A real browser for tests: Chromium without a window, told by its DevTools protocol over a pipe. It has a profile of its own, and opens
 * and closes tabs; what a page sees, the page itself tells to the test's server.
 *
 * It is Chromium or Chrome from the PATH. If there is none, Debian's is installed, as root. Otherwise the tests that need one are skipped, and one
 * line says so; with CI set they fail, because there nobody would read it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { findBrowser } from "../../dev/stack/find-browser.ts";

export type Browser = Awaited<ReturnType<typeof openBrowser>>;

/**
 * Whether there is a browser, or one could be installed. If not, it writes one line for people; with CI set it throws, so that the file
 * fails. Tests that need a browser are `describe.skipIf(!(await hasBrowser()))`.
 */
export async function hasBrowser(
  find: () => Promise<string> = findBrowser,
  {
    isCi = Boolean(process.env.CI),
    say = console.error,
  }: { isCi?: boolean; say?: (line: string) => void } = {},
): Promise<boolean> {
  try {
    await find();
    return true;
  } catch (error) {
    if (isCi) throw error;
    say(`SKIPPED: ${(error as Error).message}`);
    return false;
  }
}

/** Starts a browser; `close` it after the last test. */
export async function openBrowser() {
  const profile = mkdtempSync(join(tmpdir(), "spillway-browser-"));
  const child = spawn(
    await findBrowser(),
    [
      ...["--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-extensions"],
      ...(process.getuid?.() === 0 ? ["--no-sandbox"] : []),
      ...[`--user-data-dir=${profile}`, "--remote-debugging-pipe", "about:blank"],
    ],
    { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] },
  );
  const ended = once(child, "exit");
  const call = protocolOf(child);

  async function close(): Promise<void> {
    if (child.exitCode === null) {
      void call("Browser.close").catch(() => {});
      const timer = setTimeout(() => child.kill("SIGKILL"), 10_000);
      await ended;
      clearTimeout(timer);
    }
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }

  return {
    /** Opens a page in a tab of its own, and returns the tab. */
    openTab: async (url: string) => String((await call("Target.createTarget", { url })).targetId),
    /** Closes a tab, as its user does. */
    closeTab: async (tab: string) => void (await call("Target.closeTarget", { targetId: tab })),
    close,
  };
}

type Reply = Record<string, unknown>;

/** Calls methods of the DevTools protocol: JSON that ends with NUL, to descriptor 3 and from descriptor 4. */
function protocolOf(child: ChildProcess) {
  const [, , , commands, replies] = child.stdio as unknown as [null, null, null, Writable, Readable];
  const waiting = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>();
  let lastId = 0;
  let received = "";
  replies.setEncoding("utf8").on("data", (piece: string) => {
    const messages = (received + piece).split("\0");
    received = messages.pop() ?? "";
    for (const message of messages) {
      const { id, result, error } = JSON.parse(message) as { id?: number; result?: Reply; error?: object };
      const call = waiting.get(id ?? 0);
      if (error) call?.reject(new Error(JSON.stringify(error)));
      else call?.resolve(result ?? {});
      waiting.delete(id ?? 0);
    }
  });
  const fail = () => {
    for (const { reject } of waiting.values()) reject(new Error("expected the browser to go on"));
    waiting.clear();
  };
  commands.on("error", fail);
  child.on("exit", fail);
  return (method: string, params: object = {}): Promise<Reply> =>
    new Promise((resolve, reject) => {
      lastId += 1;
      waiting.set(lastId, { resolve, reject });
      commands.write(`${JSON.stringify({ id: lastId, method, params })}\0`);
    });
}
