import {
  RedisBroker,
  RemoteError,
  RpcError,
  SetupError,
  type HandledEvent,
  type Observer,
  type PublishedEvent,
  type SubscriberDescription,
} from '../../index.ts';
import { testBroker, type TestBroker } from '../../testing/index.ts';

/** Milliseconds that an answer is waited for. */
const PATIENCE = 10_000;

/** Items of a streamed answer, and lines of what happened, that are shown. */
const MAX_SHOWN = 100;

/** What somebody wants to try: the body goes to the place of one operation. */
export interface Trial {
  /** The key of the operation in the document. */
  readonly operation: string;
  /** The full name to send to: of a template, with its parameters filled in. */
  readonly address: string;
  readonly body: unknown;
  readonly headers: Readonly<Record<string, string>>;
}

/** What came of it. */
export interface Outcome {
  /** `answered`, `failed`, or `sent` where nobody answers. */
  readonly outcome: 'answered' | 'failed' | 'sent';
  /** The answer; of a stream, its first items. */
  readonly answer?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly error?: { name: string; code?: string; message: string; data?: unknown };
  /** A line for each handler that ran and each message that was sent meanwhile. */
  readonly happened: readonly string[];
}

/** Runs brokers in a memory of their own, from the first trial on. One trial runs at a time. */
export class TryIt {
  readonly #make: () => RedisBroker | readonly RedisBroker[];
  /** Without a prefix: it sends to full names. */
  readonly #client = new RedisBroker('memory://', { logger: false });
  #running:
    | Promise<{ readonly test: TestBroker; readonly brokers: readonly RedisBroker[] }>
    | undefined;
  #last: Promise<unknown> = Promise.resolve();

  constructor(make: () => RedisBroker | readonly RedisBroker[]) {
    this.#make = make;
  }

  run(trial: Trial, receiver: SubscriberDescription): Promise<Outcome> {
    const result = this.#last.then(() => this.#run(trial, receiver));
    this.#last = result.catch(() => undefined);
    return result;
  }

  async stop(): Promise<void> {
    const running = await this.#running?.catch(() => undefined);
    await running?.test.stop();
  }

  async #run(trial: Trial, receiver: SubscriberDescription): Promise<Outcome> {
    const { test, brokers } = await (this.#running ??= this.#start());
    const happened: string[] = [];
    const tell = (line: string): void => {
      if (happened.length < MAX_SHOWN) happened.push(line);
    };
    const observer: Observer = {
      handled: (event) => tell(handledLine(event)),
      published: (event) => {
        if (event.type === 'publish') tell(sentLine(event));
      },
    };
    const removers = brokers.map((broker) => broker.observe(observer));
    try {
      const result = await this.#send(trial, receiver);
      await Promise.race([test.idle(), after(PATIENCE)]);
      return { ...result, happened };
    } finally {
      for (const remove of removers) remove();
    }
  }

  async #send(
    { address, body, headers }: Trial,
    { kind, answers, many }: SubscriberDescription,
  ): Promise<Omit<Outcome, 'happened'>> {
    const to = { [kind]: address } as { channel: string };
    try {
      if (!answers) {
        await this.#client.publish(body, { ...to, headers });
        return { outcome: 'sent' };
      }
      const options = { ...to, headers, timeout: PATIENCE };
      if (many) {
        const items: unknown[] = [];
        for await (const item of this.#client.requestMany(body, options)) {
          items.push(item);
          if (items.length >= MAX_SHOWN) break;
        }
        return { outcome: 'answered', answer: items };
      }
      const reply = await this.#client.request(body, options);
      return { outcome: 'answered', answer: reply.body, headers: reply.headers };
    } catch (error) {
      return { outcome: 'failed', error: errorOf(error) };
    }
  }

  async #start(): Promise<{ test: TestBroker; brokers: readonly RedisBroker[] }> {
    const made = this.#make();
    const brokers = Array.isArray(made) ? (made as readonly RedisBroker[]) : [made as RedisBroker];
    try {
      return { test: await testBroker(...brokers, this.#client), brokers };
    } catch (cause) {
      this.#running = undefined; // the next trial begins anew
      if (!(cause instanceof SetupError)) throw cause;
      throw new SetupError(
        `try-it runs brokers in memory, and cannot start them there: ${cause.message}`,
        { cause },
      );
    }
  }
}

function handledLine({ subscriber, outcome, error }: HandledEvent): string {
  const why = error instanceof Error ? `: ${error.name}: ${error.message}` : '';
  return `${subscriber.title} on ${subscriber.address}: ${outcome}${why}`;
}

function sentLine({ to, error }: PublishedEvent): string {
  return `sent to ${to.kind} '${to.name}'${error === undefined ? '' : ', which failed'}`;
}

function errorOf(error: unknown): NonNullable<Outcome['error']> {
  if (error instanceof RpcError || error instanceof RemoteError) {
    const { message, data } = error;
    const isRpc = error instanceof RpcError;
    const code = isRpc ? error.code : error.remoteCode;
    const name = isRpc ? error.name : error.remoteName;
    return {
      name,
      message,
      ...(code !== undefined && { code }),
      ...(data !== undefined && { data }),
    };
  }
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) };
  const { code, issues } = error as { code?: unknown; issues?: unknown };
  return {
    name: error.name,
    message: error.message,
    ...(typeof code === 'string' && { code }),
    ...(issues !== undefined && { data: { issues } }),
  };
}

/** Does not keep a process from ending. */
function after(ms: number): Promise<void> {
  return new Promise((resolve) => void setTimeout(resolve, ms).unref());
}
