// The Python programs of this folder, as a test sees them.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll } from 'vitest';
import { redisUrl, unique } from '../support/redis.ts';

export type Kind = 'channel' | 'list' | 'stream';
export const KINDS = ['channel', 'list', 'stream'] as const;

/** The destination of a kind, for redstart's options and for FastStream's keyword arguments alike. */
export const place = (kind: Kind, name: string): { channel: string } =>
  ({ [kind]: name }) as unknown as { channel: string };

/** A message as a FastStream handler got it. */
export interface Seen {
  readonly seen: string;
  readonly body: unknown;
  readonly headers: Record<string, string>;
  readonly correlationId: string;
  readonly messageId: string;
  readonly contentType: string | null;
  readonly replyTo: string;
  readonly batchHeaders: readonly Record<string, string>[];
  readonly path?: readonly string[];
}

/** An answer as a FastStream requester got it. */
export interface Answer {
  readonly body: unknown;
  readonly headers: Record<string, string>;
  readonly correlationId: string;
  readonly contentType: string | null;
}

/** What Python raised. */
export class PythonError extends Error {
  readonly type: string;

  constructor({ type, message }: { type: string; message: string }) {
    super(message);
    this.type = type;
  }
}

interface Line {
  readonly ready?: true;
  readonly seen?: string;
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { type: string; message: string };
}

interface Program {
  say(line: object): void;
  stop(): Promise<void>;
}

/** Starts a program; resolves when it says that it is ready. */
async function start(
  python: string,
  name: string,
  args: readonly string[],
  heard: (line: Line) => void,
): Promise<Program> {
  const file = fileURLToPath(new URL(`${name}.py`, import.meta.url));
  const child = spawn(python, [file, ...args], {
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: 'pipe',
  });
  let stderr = '';
  child.stderr.on('data', (chunk: Buffer) => void (stderr += chunk.toString()));
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  await new Promise<void>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', () => reject(new Error(`${name}.py ended:\n${stderr}`)));
    createInterface(child.stdout).on('line', (text) => {
      const line = unpacked(JSON.parse(text)) as Line;
      if (line.ready === true) resolve();
      else heard(line);
    });
  });
  return {
    say: (line) => child.stdin.write(`${JSON.stringify(packed(line))}\n`),
    stop: async () => {
      child.stdin.end();
      const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
      await ended;
      clearTimeout(timer);
    },
  };
}

/** FastStream handlers (service.py), for all tests of a file. */
export class Service {
  readonly #prefix = unique('py');
  #seen: Seen[] = [];

  /** To be made once, outside of tests. */
  constructor(python: string) {
    let program: Program | undefined;
    beforeAll(async () => {
      program = await start(python, 'service', [redisUrl(), this.#prefix], (line) =>
        this.#seen.push(line as Seen),
      );
    });
    afterAll(() => program?.stop());
  }

  /** Where a handler listens. */
  name(what: string): string {
    return `${this.#prefix}:${what}`;
  }

  at(kind: Kind, what: string): { channel: string } {
    return place(kind, this.name(`${kind}:${what}`));
  }

  /** What a reporting handler has got since it was last asked for. */
  take(where: string): Seen[] {
    const taken = this.#seen.filter(({ seen }) => seen === where);
    this.#seen = this.#seen.filter(({ seen }) => seen !== where);
    return taken;
  }
}

/** A message as a handler of telemetry.py got it. */
export interface Traced {
  readonly seen: string;
  readonly body: unknown;
  /** The trace that the handler runs in, and the span that its own is a child of. */
  readonly trace: string;
  readonly parent: string | null;
  readonly baggage: Readonly<Record<string, string>>;
}

/** FastStream handlers and a publisher with FastStream's middleware for traces (telemetry.py). */
export class TracedService {
  readonly #prefix = unique('py');
  readonly #answers = new Map<number, (line: Line) => void>();
  #program: Program | undefined;
  #last = 0;
  #seen: Traced[] = [];

  /** To be made once, outside of tests. */
  constructor(python: string) {
    beforeAll(async () => {
      this.#program = await start(python, 'telemetry', [redisUrl(), this.#prefix], (line) => {
        if (line.seen === undefined) this.#answers.get(line.id ?? 0)?.(line);
        else this.#seen.push(line as unknown as Traced);
      });
    });
    afterAll(() => this.#program?.stop());
  }

  at(kind: Kind, what: 'python' | 'typescript'): { channel: string } {
    return place(kind, `${this.#prefix}:${kind}:${what}`);
  }

  /** What the handler of a kind has got since it was last asked for. */
  take(kind: Kind): Traced[] {
    const taken = this.#seen.filter(({ seen }) => seen === kind);
    this.#seen = this.#seen.filter(({ seen }) => seen !== kind);
    return taken;
  }

  /** Publishes to `typescript` inside a span of Python's; resolves with its trace. */
  publish(args: {
    readonly kind: Kind;
    readonly body: string;
    readonly baggage: Readonly<Record<string, string>>;
  }): Promise<{ readonly trace: string }> {
    const id = ++this.#last;
    return new Promise((resolve) => {
      this.#answers.set(id, ({ result }) => resolve(result as { trace: string }));
      this.#program?.say({ id, arguments: args });
    });
  }
}

/** Keyword arguments of FastStream's functions. */
export interface CallArguments {
  readonly channel?: string;
  readonly list?: string;
  readonly stream?: string;
  readonly headers?: Record<string, unknown>;
  readonly correlation_id?: string;
  readonly reply_to?: string;
  readonly maxlen?: number;
  /** Seconds. */
  readonly timeout?: number | null;
}

/** A FastStream broker that publishes and calls (caller.py), for all tests of a file. */
export class Caller {
  #program: Program | undefined;
  #last = 0;
  readonly #waiting = new Map<number, (line: Line) => void>();

  /** To be made once, outside of tests. */
  constructor(python: string) {
    beforeAll(async () => {
      this.#program = await start(python, 'caller', [redisUrl()], (line) =>
        this.#waiting.get(line.id ?? 0)?.(line),
      );
    });
    afterAll(() => this.#program?.stop());
  }

  /** `await broker.request(...)`; rejects with `PythonError`. */
  async request(message: unknown, to: CallArguments): Promise<Answer> {
    return (await this.#do('request', { timeout: 30, ...to, message })) as Answer;
  }

  /** `await broker.publish(...)`. */
  publish(message: unknown, to: CallArguments): Promise<unknown> {
    return this.#do('publish', { ...to, message });
  }

  /** `await broker.publish_batch(...)`. */
  publishBatch(bodies: readonly unknown[], to: CallArguments): Promise<unknown> {
    return this.#do('batch', { ...to, bodies });
  }

  #do(what: string, args: object): Promise<unknown> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, ({ result, error }) => {
        this.#waiting.delete(id);
        if (error === undefined) resolve(result);
        else reject(new PythonError(error));
      });
      this.#program?.say({ id, do: what, arguments: args });
    });
  }
}

/** JSON has no bytes. */
function packed(value: unknown): unknown {
  if (value instanceof Uint8Array) return { bytes: Buffer.from(value).toString('base64') };
  return mapped(value, packed);
}

function unpacked(value: unknown): unknown {
  const { bytes, ...others } = (value ?? {}) as Record<string, unknown>;
  if (typeof bytes === 'string' && Object.keys(others).length === 0) {
    return Buffer.from(bytes, 'base64');
  }
  return mapped(value, unpacked);
}

function mapped(value: unknown, change: (item: unknown) => unknown): unknown {
  if (Array.isArray(value)) return value.map(change);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, change(item)]));
}
