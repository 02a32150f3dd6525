import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** A page that is open in Chromium. */
export interface BrowserPage {
  /** Gives the value of an expression of JavaScript, awaited. @throws Error with what it threw there */
  evaluate<T>(expression: string): Promise<T>;
  /** Waits until an expression is true there: it is looked at after each change of the page. */
  until(expression: string): Promise<void>;
  /** What the page shows, as PNG. */
  screenshot(): Promise<Buffer>;
  close(): Promise<void>;
}

/** Opens an address in Debian's Chromium without a window, driven by its DevTools protocol. */
export async function openInChromium(
  url: string,
  { width, height }: { readonly width: number; readonly height: number },
): Promise<BrowserPage> {
  const profile = await mkdtemp(join(tmpdir(), 'chromium-'));
  // Its sandbox of Linux namespaces is not for root; the one page that it opens is ours.
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--hide-scrollbars'];
  const browser = spawn(
    'chromium',
    [
      ...flags,
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      `--window-size=${width},${height}`,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], detached: true },
  );
  const exit = once(browser, 'exit');
  const close = async () => {
    process.kill(-(browser.pid ?? 0), 'SIGKILL');
    await exit;
    await rm(profile, { recursive: true, force: true, maxRetries: 20 });
  };
  try {
    const port = await Promise.race([devtoolsPort(browser.stderr), exit.then(() => failed('Chromium ended'))]);
    const { send, event } = await connect(await pageSocket(port));
    await send('Page.enable');
    // The window's own size counts the frame of a browser too.
    await send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false });
    const loaded = event('Page.loadEventFired');
    await send('Page.navigate', { url });
    await loaded;
    return { ...pageOf(send), close };
  } catch (error) {
    await close();
    throw error;
  }
}

function failed(why: string): never {
  throw new Error(why);
}

async function devtoolsPort(stderr: NodeJS.ReadableStream): Promise<string> {
  for await (const line of createInterface(stderr)) {
    const [, port] = /^DevTools listening on ws:\/\/127\.0\.0\.1:(\d+)\//.exec(line) ?? [];
    if (port === undefined) continue;
    stderr.resume();
    return port;
  }
  return failed('Chromium did not say where it listens');
}

/** The address of the page's own protocol; the tab may come a moment after the browser. */
async function pageSocket(port: string): Promise<string> {
  for (;;) {
    const targets = (await (await fetch(`http://127.0.0.1:${port}/json`)).json()) as readonly Record<string, string>[];
    const tab = targets.find((each) => each['type'] === 'page');
    if (tab?.['webSocketDebuggerUrl'] !== undefined) return tab['webSocketDebuggerUrl'];
  }
}

interface Protocol {
  readonly send: Send;
  /** Waits for the next event of this name. */
  readonly event: (name: string) => Promise<void>;
}

type Send = (method: string, params?: object) => Promise<Readonly<Record<string, unknown>>>;

async function connect(address: string): Promise<Protocol> {
  const socket = new WebSocket(address);
  const waiting = new Map<number | string, (answer: Readonly<Record<string, unknown>>) => void>();
  socket.addEventListener('message', ({ data }) => {
    const { id, method, result, error } = JSON.parse(String(data));
    waiting.get(id ?? method)?.(result ?? { error });
    waiting.delete(id ?? method);
  });
  await once(socket, 'open');
  let last = 0;
  const answerTo = (what: number | string) => {
    const { promise, resolve } = Promise.withResolvers<Readonly<Record<string, unknown>>>();
    waiting.set(what, resolve);
    return promise;
  };
  return {
    send: (method, params = {}) => {
      last += 1;
      socket.send(JSON.stringify({ id: last, method, params }));
      return answerTo(last);
    },
    event: async (name) => void (await answerTo(name)),
  };
}

function pageOf(send: Send): Omit<BrowserPage, 'close'> {
  const evaluate = async <T>(expression: string): Promise<T> => {
    const answer = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
    const { result, exceptionDetails } = answer as {
      result?: { value: T };
      exceptionDetails?: { exception?: { description?: string }; text: string };
    };
    if (result === undefined || exceptionDetails !== undefined) {
      throw new Error(exceptionDetails?.exception?.description ?? JSON.stringify(answer));
    }
    return result.value;
  };
  return {
    evaluate,
    until: (expression) =>
      evaluate(`new Promise((resolve) => {
        const look = () => { if (${expression}) { changes.disconnect(); resolve(); } };
        const changes = new MutationObserver(look);
        changes.observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
        look();
      })`),
    screenshot: async () => {
      const { data } = await send('Page.captureScreenshot', { format: 'png' });
      return Buffer.from(String(data), 'base64');
    },
  };
}
