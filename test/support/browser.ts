// A real Chromium without a window, driven over the DevTools protocol by a pipe: no package is needed.
// https://chromedevtools.github.io/devtools-protocol/
import { spawn, type ChildProcess } from 'node:child_process';
import { accessSync, constants, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { eventually } from './eventually.ts';
import { isLong } from './long.ts';

/** The path of the browser: CHROMIUM, else the first of these on PATH; undefined where there is none. */
const chromium: string | undefined =
  process.env['CHROMIUM'] ??
  ['chromium', 'chromium-browser', 'google-chrome']
    .flatMap((name) => (process.env['PATH'] ?? '').split(delimiter).map((at) => join(at, name)))
    .find(isProgram);

const NO_BROWSER =
  'tests of pages are skipped: no chromium on PATH (apt-get install chromium, or set CHROMIUM)';

/** Whether tests of pages run: in `npm run full`, where there is a browser. `describe.skipIf(!hasBrowser)(…)` */
export const hasBrowser: boolean = isLong && chromium !== undefined;
if (isLong && chromium === undefined)
  process.stderr.write(`${NO_BROWSER}
`);

/** Milliseconds to wait for something on a page: machines that run tests are slow. */
const PATIENCE = 20_000;

type Params = Readonly<Record<string, unknown>>;
type Reply = Record<string, unknown>;

interface Frame {
  readonly id?: number;
  readonly method?: string;
  readonly params?: Reply;
  readonly result?: Reply;
  readonly error?: { readonly message: string };
  readonly sessionId?: string;
}

/** One browser. It ends with the test that has opened it, and reaches no other machine than this one. */
export class Browser {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #waiting = new Map<number, (frame: Frame) => void>();
  readonly #listeners = new Map<string, (method: string, params: Reply) => void>();
  #lastId = 0;
  #rest = '';

  static async launch(): Promise<Browser> {
    if (chromium === undefined) throw new Error(NO_BROWSER);
    const browser = new Browser(chromium);
    onTestFinished(() => browser.close());
    await browser.send('Browser.getVersion');
    return browser;
  }

  private constructor(program: string) {
    this.#folder = mkdtempSync(join(tmpdir(), 'redstart-browser-'));
    const args = [
      ...['--headless=new', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
      ...['--no-first-run', '--disable-background-networking', '--disable-component-update'],
      ...['--disable-sync', '--disable-default-apps', '--mute-audio', '--hide-scrollbars'],
      // Every name but this machine's is unknown: what a page asks for elsewhere fails, and is in `requests`.
      '--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1 , EXCLUDE localhost',
      ...[`--user-data-dir=${this.#folder}`, '--remote-debugging-pipe', 'about:blank'],
    ];
    const stdio = ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] as const;
    this.#child = spawn(program, args, { stdio: [...stdio] });
    this.#child.once('exit', () => this.#failAll('the browser has ended'));
    this.#child.once('error', (error) => this.#failAll(error.message));
    const pipe = this.#child.stdio[4] as Readable;
    pipe.setEncoding('utf8').on('data', (text: string) => this.#take(text));
    this.#pipe.on('error', () => undefined); // it has ended, which whoever waits is told
  }

  /** Opens an empty page of this size. */
  async page({ width = 1280, height = 900 } = {}): Promise<Page> {
    const { targetId } = await this.send('Target.createTarget', { url: 'about:blank' });
    const attached = await this.send('Target.attachToTarget', { targetId, flatten: true });
    const sessionId = attached['sessionId'] as string;
    const page = new Page((method, params) => this.send(method, params, sessionId));
    this.#listeners.set(sessionId, (method, params) => page.onEvent(method, params));
    for (const domain of ['Page', 'Runtime', 'Network', 'Log']) await page.send(`${domain}.enable`);
    await page.resize(width, height);
    return page;
  }

  /** Sends a command of the protocol, and resolves with its result. */
  send(method: string, params: Params = {}, sessionId?: string): Promise<Reply> {
    const id = ++this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        if (error === undefined) resolve(result ?? {});
        else reject(new Error(`${method}: ${error.message}`));
      });
      this.#pipe.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      const ended = new Promise((resolve) => this.#child.once('exit', resolve));
      this.#child.kill('SIGKILL');
      await ended;
    }
    // Its helpers may still be writing there.
    await eventually(() => rmSync(this.#folder, { recursive: true, force: true }), PATIENCE);
  }

  get #pipe(): Writable {
    return this.#child.stdio[3] as Writable;
  }

  #take(text: string): void {
    const frames = `${this.#rest}${text}`.split('\0');
    this.#rest = frames.pop() as string;
    for (const json of frames) {
      const frame = JSON.parse(json) as Frame;
      const { id, method, params = {}, sessionId = '' } = frame;
      if (id === undefined) {
        this.#listeners.get(sessionId)?.(method as string, params);
        continue;
      }
      this.#waiting.get(id)?.(frame);
      this.#waiting.delete(id);
    }
  }

  #failAll(message: string): void {
    for (const settle of this.#waiting.values()) settle({ error: { message } });
    this.#waiting.clear();
  }
}

/** One page of a browser. Scripts are texts: they run in the page, which has other types than a test. */
export class Page {
  /** The URL of everything that the page has asked for. */
  readonly requests: string[] = [];
  /** What the page has complained of: errors that nobody caught, and errors in its console. */
  readonly errors: string[] = [];
  readonly #send: (method: string, params: Params) => Promise<Reply>;

  constructor(send: (method: string, params: Params) => Promise<Reply>) {
    this.#send = send;
  }

  send(method: string, params: Params = {}): Promise<Reply> {
    return this.#send(method, params);
  }

  /** Goes there; resolves when the document is read. */
  async goto(url: string): Promise<void> {
    const { errorText } = await this.send('Page.navigate', { url });
    if (errorText !== undefined) throw new Error(`${url}: ${String(errorText)}`);
    await this.until(`document.readyState !== 'loading' && location.href !== 'about:blank'`);
  }

  /** The value of an expression in the page; of a promise, what it resolves with. */
  async evaluate<T = unknown>(expression: string): Promise<T> {
    const { result, exceptionDetails } = (await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    })) as { result: { value: T }; exceptionDetails?: { exception?: { description?: string } } };
    if (exceptionDetails === undefined) return result.value;
    throw new Error(`${expression}: ${exceptionDetails.exception?.description ?? 'failed'}`);
  }

  /** Waits until an expression is truthy, and resolves with it. Fails with the page's text. */
  async until<T = unknown>(expression: string): Promise<T> {
    const found = await eventually(() => this.evaluate<T>(expression), PATIENCE).catch(
      async (error: unknown) => {
        const text = await this.text().catch(() => '');
        throw new Error(`never true: ${expression}\non the page:\n${text}`, { cause: error });
      },
    );
    return found;
  }

  /** What a reader sees, of the whole page or of the first element that fits a selector. */
  text(selector = 'body'): Promise<string> {
    return this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`);
  }

  /** Waits until a text is seen. */
  async sees(text: string, selector = 'body'): Promise<void> {
    const where = `document.querySelector(${JSON.stringify(selector)})`;
    await this.until(`(${where}?.innerText ?? '').includes(${JSON.stringify(text)})`);
  }

  /** Clicks with the mouse in the middle of the first element that fits, when it is there. */
  async click(selector: string): Promise<void> {
    const { x, y } = await this.until<{ x: number; y: number }>(`(() => {
      const found = document.querySelector(${JSON.stringify(selector)});
      if (!found) return false;
      found.scrollIntoView({ block: 'center', behavior: 'instant' });
      const { x, y, width, height } = found.getBoundingClientRect();
      return width > 0 && { x: x + width / 2, y: y + height / 2 };
    })()`);
    for (const type of ['mousePressed', 'mouseReleased'])
      await this.send('Input.dispatchMouseEvent', { type, x, y, button: 'left', clickCount: 1 });
  }

  /** Writes into the first field that fits, in place of what is there. */
  async fill(selector: string, text: string): Promise<void> {
    const field = `document.querySelector(${JSON.stringify(selector)})`;
    await this.until(`(() => {
      const field = ${field};
      if (!field) return false;
      field.focus();
      field.select?.();
      return true;
    })()`);
    await this.send('Input.insertText', { text });
  }

  /** Presses a key, such as `Tab`, `Enter`, `Escape` or `ArrowDown`. */
  async press(key: string, { shift = false } = {}): Promise<void> {
    const codes: Record<string, number> = { Tab: 9, Enter: 13, Escape: 27, ' ': 32 };
    const code = codes[key] ?? { ArrowLeft: 37, ArrowUp: 38, ArrowRight: 39, ArrowDown: 40 }[key];
    const written = key === 'Enter' ? '\r' : key.length === 1 ? key : undefined;
    const event = { key, modifiers: shift ? 8 : 0, windowsVirtualKeyCode: code };
    const down = written === undefined ? {} : { text: written };
    await this.send('Input.dispatchKeyEvent', { type: 'keyDown', ...event, ...down });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  async resize(width: number, height: number): Promise<void> {
    const size = { width, height, deviceScaleFactor: 1, mobile: false };
    await this.send('Emulation.setDeviceMetricsOverride', size);
  }

  /** Has the page believe that its reader prefers dark or light. */
  async prefer(scheme: 'dark' | 'light'): Promise<void> {
    const features = [{ name: 'prefers-color-scheme', value: scheme }];
    await this.send('Emulation.setEmulatedMedia', { features });
  }

  /** A PNG of what is seen. */
  async screenshot(): Promise<Buffer> {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png' });
    return Buffer.from(data as string, 'base64');
  }

  onEvent(method: string, params: Reply): void {
    if (method === 'Network.requestWillBeSent')
      this.requests.push((params['request'] as { url: string }).url);
    if (method === 'Runtime.exceptionThrown') {
      const { text, exception } = params['exceptionDetails'] as {
        text: string;
        exception?: { description?: string };
      };
      this.errors.push(exception?.description ?? text);
    }
    if (method === 'Log.entryAdded') {
      const { level, text, url } = params['entry'] as { level: string; text: string; url?: string };
      if (level === 'error') this.errors.push(url === undefined ? text : `${text} (${url})`);
    }
    if (method === 'Runtime.consoleAPICalled' && params['type'] === 'error') {
      const args = params['args'] as { value?: unknown; description?: string }[];
      this.errors.push(
        args.map(({ value, description }) => String(value ?? description)).join(' '),
      );
    }
  }
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
