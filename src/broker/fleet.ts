import { hostName } from '../internal/host.ts';
import { targetOf, type Kind } from '../transport/address.ts';
import type { SubscriberInfo } from '../api/subscriber-info.ts';
import { SetupError, messageOf } from '../errors.ts';
import { backoff } from '../internal/backoff.ts';
import { checkKeys, got, isObject, milliseconds, text } from '../internal/checks.ts';
import { monotonicTime } from '../internal/clock.ts';
import { deferred, pause, settledWithin } from '../internal/deferred.ts';
import { randomId } from '../internal/ids.ts';
import { Sparing } from '../internal/sparing.ts';
import type { Report } from '../transport/source.ts';
import type { Transport } from '../transport/transport.ts';
import type { FailureCount, FailureWatch } from './failure-watch.ts';
import { jsonIn, questionIn, type Done, type Order, type Question } from './fleet-question.ts';
import type { BrokerStats, Health, SubscriberHealth } from './health.ts';
import { plan, type Plan } from './plan.ts';
import type { Declaration } from './subscriber.ts';

/** Which subscribers: those of one place, in every process or in one. Names are without the broker's prefix. */
export type FleetChoice = FleetPlace & {
  /** The `id` of one process. Default: every process. */
  process?: string;
  /** Who asks. The processes log it. Default: nobody. */
  by?: string;
};

export type FleetPlace =
  | { channel: string; list?: never; stream?: never; group?: never }
  | { list: string; channel?: never; stream?: never; group?: never }
  | {
      stream: string;
      /** Default: every group, and those who read without one. */
      group?: string;
      channel?: never;
      list?: never;
    };

export interface FleetOptions {
  /**
   * Milliseconds to wait for processes that have not answered. On a cluster the number of processes is not known,
   * so it always waits this long. Default 1 000; for `pause` and `resume` 5 000.
   */
  timeout?: number;
}

/** One subscriber, as its process sees it. Numbers that Redis knows, such as `lag`, are left out. */
export interface FleetSubscriber extends SubscriberHealth {
  readonly kind: Kind;
  /** The full name, prefix included. */
  readonly name: string;
  readonly group: string | null;
  readonly class: string | null;
  readonly method: string | null;
  readonly concurrency: number;
  /** The full name of the place of its dead letters. */
  readonly buriesIn: {
    readonly kind: Kind;
    readonly name: string;
    readonly maxlen: number | null;
  } | null;
  /** Failures since `watchedSince`. */
  readonly failures: FailureCount;
}

/** One broker of one process. */
export interface FleetProcess {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** When the broker was made (ISO 8601). */
  readonly since: string;
  /** Since when failures are counted: since somebody asked for the first time (ISO 8601). */
  readonly watchedSince: string;
  /** Bytes of memory of the process (RSS). */
  readonly memory: number;
  readonly stats: BrokerStats;
  readonly health: Omit<Health, 'subscribers'>;
  /** 500 at most. */
  readonly subscribers: readonly FleetSubscriber[];
  /** How many subscribers there are. */
  readonly total: number;
}

/** The result of a pause or its end. */
export interface FleetResult {
  /** How many processes have subscribers of this address, and did it. */
  readonly processes: number;
  readonly subscribers: number;
  /** What went wrong in a process, one sentence each. */
  readonly problems: readonly string[];
}

/** What a process may be asked: everything, only for its state, or nothing. */
export type Control = boolean | 'status';

/** What the fleet needs of its broker. */
export interface FleetHost {
  readonly broker: {
    readonly prefix: string;
    readonly stats: BrokerStats;
    declarations(): readonly Declaration[];
  };
  readonly control: Control;
  readonly report: Report;
  readonly watch: FailureWatch;
  readonly transport: () => Promise<Transport>;
  /** Without asking the server. */
  readonly health: () => Promise<Health>;
}

/** The longest answer that is read, in bytes. */
const MAX_ANSWER = 2 * 2 ** 20;

/** Subscribers of one process that are told of. */
const MAX_SUBSCRIBERS = 500;

/** Answers to one question. */
const MAX_ANSWERS = 1_000;

/** Milliseconds for which one process tells the same state. */
const KEPT = 200;

/** Milliseconds between two attempts to listen. */
const RETRY_MIN = 250;
const RETRY_MAX = 5_000;

/**
 * The processes that use the same prefix: their state, asked now over the channel
 * `<prefix>redstart:control`, and their subscribers, to be paused and resumed. This broker is always
 * one of them; others answer where their broker has the option `control`. Nothing runs between two questions.
 */
export class Fleet {
  readonly #host: FleetHost;
  readonly #id = randomId(12);
  readonly #since = new Date().toISOString();
  readonly #channel: string;
  readonly #unreadable = new Sparing();
  #closing: AbortController | undefined;
  #isListening = false;
  #told: { readonly at: number; readonly state: Promise<FleetProcess> } | undefined;

  /** @internal */
  constructor(host: FleetHost) {
    this.#host = host;
    this.#channel = `${host.broker.prefix}redstart:control`;
  }

  /**
   * Asks every process for its state (PUBLISH), and resolves with the answers, this broker's first.
   * Waits until all have answered, at most `timeout`, and leaves out those that have not.
   * Connects if nothing is connected; rejects with `ConnectionError` or the refusal of Redis.
   */
  async status(options: FleetOptions = {}): Promise<FleetProcess[]> {
    const timeout = timeoutOf(options, 'fleet.status', 1_000);
    const own = this.#state();
    const others = await this.#ask({ ask: 'status' }, timeout);
    return [await own, ...others.filter(isProcess)];
  }

  /** Pauses the subscribers of an address in the processes that run now. A process that starts later is not paused. */
  pause(which: FleetChoice, options: FleetOptions = {}): Promise<FleetResult> {
    return this.#tell('pause', which, options);
  }

  /** Ends the pauses of an address. */
  resume(which: FleetChoice, options: FleetOptions = {}): Promise<FleetResult> {
    return this.#tell('resume', which, options);
  }

  /** Listens to questions on a new connection, if it is to. A failure is logged and tried again. @internal */
  listen(transport: Transport): void {
    if (this.#host.control === false) return;
    const closing = (this.#closing = new AbortController());
    void this.#listen(transport, closing.signal);
  }

  /** Forgets the connection, which is being closed. @internal */
  close(): void {
    this.#closing?.abort();
    this.#isListening = false;
    this.#host.watch.stop();
  }

  async #listen(transport: Transport, closing: AbortSignal): Promise<void> {
    const refused = new Sparing();
    for (let failures = 1; !closing.aborted; failures++) {
      try {
        const take = (frame: Buffer): void => this.#take(frame, transport);
        await transport.listen(this.#channel, take, () => undefined);
        this.#isListening = !closing.aborted;
        return;
      } catch (error) {
        if (closing.aborted) return;
        const times = refused.next();
        if (times !== undefined)
          this.#host.report(`nobody can ask this process (option 'control')${times}`, error);
        await pause(backoff(failures, RETRY_MIN, RETRY_MAX), closing);
      }
    }
  }

  /** Takes one question. Never throws: anybody with the right to the channel can send here. */
  #take(frame: Buffer, transport: Transport): void {
    const asked = questionIn(frame);
    if (asked === undefined) {
      const times = this.#unreadable.next();
      if (times !== undefined)
        this.#host.report(`a question to this process could not be read${times}`, undefined);
      return;
    }
    if (asked.from === this.#id) return;
    // Answers go below the channel of questions, and nowhere else.
    const to = { kind: 'channel', name: `${this.#channel}:${asked.to}` } as const;
    this.#answer(asked.question)
      .then((answer) => transport.send(to, Buffer.from(JSON.stringify(answer))))
      .catch((error: unknown) => this.#host.report('a question was not answered', error));
  }

  async #answer(question: Question): Promise<FleetProcess | Done> {
    if (question.ask === 'status') return this.#state();
    if (this.#host.control === 'status') {
      const has = this.#chosen(question).length;
      const problem = `process ${process.pid} on ${hostName()} lets nobody pause it: its broker has control: 'status'`;
      return has === 0 ? { subscribers: 0 } : { subscribers: 0, problem };
    }
    return this.#do(question);
  }

  /** Pauses or resumes what is here. Never rejects. */
  async #do(question: Order): Promise<Done> {
    try {
      const chosen = this.#chosen(question);
      for (const { subscriber, info } of chosen) {
        const what = question.ask === 'pause' ? 'paused' : 'resumed';
        const by = question.by === undefined ? '' : ` by ${question.by}`;
        this.#host.report(`${info.address} (${info.title}) is ${what}${by}`, undefined, 'info');
        await subscriber[question.ask]();
      }
      this.#told = undefined;
      return { subscribers: chosen.length };
    } catch (error) {
      return {
        subscribers: 0,
        problem: `process ${process.pid} on ${hostName()}: ${messageOf(error)}`,
      };
    }
  }

  #chosen({ kind, name, group, process: id }: Order) {
    if (id !== undefined && id !== this.#id) return [];
    const isMeant = (info: SubscriberInfo): boolean =>
      info.kind === kind && info.name === name && (group === undefined || info.group === group);
    return plan(this.#host.broker.declarations()).flatMap(({ members }) =>
      members.filter(({ info }) => isMeant(info)),
    );
  }

  async #tell(
    ask: 'pause' | 'resume',
    which: FleetChoice,
    options: FleetOptions,
  ): Promise<FleetResult> {
    const question = { ask, ...placeIn(which, this.#host.broker.prefix, `fleet.${ask}`) };
    const timeout = timeoutOf(options, `fleet.${ask}`, 5_000);
    const own = this.#do(question);
    const isOwn = question.process === this.#id;
    const others = isOwn ? [] : await this.#ask(question, timeout);
    const done = [await own, ...others.filter(isDone)];
    return {
      processes: done.filter(({ subscribers }) => subscribers > 0).length,
      subscribers: done.reduce((sum, { subscribers }) => sum + subscribers, 0),
      problems: done.flatMap(({ problem }) => (typeof problem === 'string' ? [problem] : [])),
    };
  }

  /** Sends a question, and resolves with what the other processes answer. */
  async #ask(question: Question, timeout: number): Promise<unknown[]> {
    const transport = await this.#host.transport();
    const to = randomId(16);
    const answers: unknown[] = [];
    const all = deferred<void>();
    let expected = MAX_ANSWERS;
    const take = (frame: Buffer): void => {
      if (answers.length >= expected || frame.length > MAX_ANSWER) return;
      answers.push(jsonIn(frame));
      if (answers.length >= expected) all.resolve();
    };
    const listener = await transport.listen(`${this.#channel}:${to}`, take, () => undefined);
    try {
      const frame = Buffer.from(JSON.stringify({ ...question, to, from: this.#id }));
      const receivers = await transport.send({ kind: 'channel', name: this.#channel }, frame);
      if (transport.countsReceivers) expected = Number(receivers) - Number(this.#isListening);
      if (answers.length < expected) await settledWithin(all.promise, timeout);
    } finally {
      await listener.close();
    }
    return answers;
  }

  /** The state of this process; questions that come at once get the same. */
  #state(): Promise<FleetProcess> {
    const now = monotonicTime();
    if (this.#told === undefined || now - this.#told.at > KEPT)
      this.#told = { at: now, state: this.#look() };
    return this.#told.state;
  }

  async #look(): Promise<FleetProcess> {
    const { watch, broker } = this.#host;
    watch.look();
    const { subscribers, ...health } = await this.#host.health();
    const members = plansIn(broker).flatMap((planned) =>
      planned.members.map(({ info, subscriber }) => ({ planned, info, subscriber })),
    );
    const shown = subscribers.slice(0, MAX_SUBSCRIBERS).flatMap((one, i): FleetSubscriber[] => {
      const member = members[i];
      if (member === undefined) return [];
      const { info, subscriber, planned } = member;
      const { deadLetter } = planned;
      return [
        {
          ...one,
          kind: info.kind,
          name: info.name,
          group: info.group ?? null,
          class: info.class ?? null,
          method: info.method ?? null,
          concurrency: subscriber.concurrencyNow ?? planned.concurrency,
          buriesIn:
            deadLetter === undefined
              ? null
              : { kind: deadLetter.kind, name: deadLetter.name, maxlen: deadLetter.maxlen ?? null },
          failures: watch.of(info),
        },
      ];
    });
    return {
      id: this.#id,
      host: hostName(),
      pid: process.pid,
      since: this.#since,
      watchedSince: watch.since ?? new Date().toISOString(),
      memory: process.memoryUsage.rss(),
      stats: broker.stats,
      health: { ...health, problems: health.problems.slice(0, MAX_SUBSCRIBERS) },
      subscribers: shown,
      total: subscribers.length,
    };
  }
}

/** None where a registration is a mistake, of which the health tells. */
function plansIn(broker: FleetHost['broker']): readonly Plan[] {
  try {
    return plan(broker.declarations());
  } catch {
    return [];
  }
}

function timeoutOf(options: unknown, where: string, byDefault: number): number {
  if (!isObject(options))
    throw new SetupError(`${where}: options must be an object, got ${got(options)}`);
  checkKeys(options, ['timeout'], where, 'it');
  const { timeout = byDefault } = options as FleetOptions;
  milliseconds(timeout, 'timeout', where);
  return timeout;
}

function placeIn(which: unknown, prefix: string, where: string) {
  if (!isObject(which))
    throw new SetupError(
      `${where}: expected a place such as { stream: 'orders' }, got ${got(which)}`,
    );
  checkKeys(which, ['channel', 'list', 'stream', 'group', 'process', 'by'], where, 'it');
  const { kind, name } = targetOf(which, where);
  const { group, process: id, by } = which as FleetChoice;
  for (const [key, value] of Object.entries({ group, process: id, by }))
    if (value !== undefined) text(value, key, where);
  if (group !== undefined && kind !== 'stream')
    throw new SetupError(`${where}: 'group' is only for streams`);
  return { kind, name: prefix + name, group, process: id, by };
}

function isProcess(answer: unknown): answer is FleetProcess {
  const { id, subscribers, health } = (answer ?? {}) as Partial<FleetProcess>;
  return typeof id === 'string' && Array.isArray(subscribers) && isObject(health);
}

function isDone(answer: unknown): answer is Done {
  return Number.isSafeInteger((answer as Partial<Done> | undefined)?.subscribers);
}
