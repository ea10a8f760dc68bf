// Producers and consumers under faults, and the account of every message at the end.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Cluster, Redis } from 'ioredis';
import type { RedisBroker, RedisConnection } from 'redstart';
import { expect, onTestFinished } from 'vitest';
import { pause } from '../../src/internal/deferred.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { startProgram, type Child } from './child.ts';

/** Of so many messages one cannot be handled. */
const POISON_EVERY = 200;
/** Milliseconds that a producer sends nothing after each round, so that a soak is about faults and not about load. */
const BREATH = 4;
const MAX_DELIVERIES = 3;
/** Milliseconds after a fault in which a consumer may still handle what others have by now: until it is connected again (`reconnectMax`). */
const AFTERMATH = isLong ? 1_000 : 5_000;

/** Something that goes wrong; resolves when it is over, with the time at which it was done, or with nothing where it cannot happen twice. */
export interface Fault {
  readonly name: string;
  readonly strike: (soak: Soak) => Promise<number | undefined>;
}

interface Struck {
  readonly name: string;
  readonly from: number;
  readonly until: number;
}

interface Account {
  /** The list or stream. */
  readonly place: string;
  readonly at: number;
  readonly poison: boolean;
  /** When it was handled, each time. */
  readonly handled: number[];
}

export interface SoakOptions {
  readonly connection: RedisConnection;
  /** Looks on, past the faults. */
  readonly client: Redis | Cluster;
  readonly lists: readonly string[];
  readonly streams: readonly string[];
  readonly consumers: number;
  /** Runs after each publish; false where it cannot be said to be safe, and then does not count as accepted. */
  readonly isSafe?: (broker: RedisBroker, name: string) => Promise<boolean>;
}

export class Soak {
  readonly #options: SoakOptions;
  readonly #folder = mkdtempSync(join(tmpdir(), 'redstart-soak-'));
  readonly #accepted = new Map<number, Account>();
  readonly #struck: Struck[] = [];
  readonly #consumers: Child[] = [];
  #unsure = 0;
  #next = 0;
  #files = 0;
  #isOver = false;

  constructor(options: SoakOptions) {
    this.#options = options;
    onTestFinished(() => rmSync(this.#folder, { recursive: true, force: true }));
  }

  /** Messages that producers have seen accepted. */
  get sent(): number {
    return this.#accepted.size;
  }

  /** A consumer that is alive. */
  anyConsumer(): Child {
    return this.#consumers[Math.floor(Math.random() * this.#consumers.length)] as Child;
  }

  /** SIGKILL, and another in its place. */
  async replace(child: Child): Promise<number> {
    await child.kill();
    const killed = Date.now();
    this.#consumers.splice(this.#consumers.indexOf(child), 1);
    await this.#startConsumer();
    return killed;
  }

  /** Faults in turn with a pause between them, over and over until time is up; then whatever is left has `patience` to be handled. */
  async run(
    faults: readonly Fault[],
    times: {
      readonly ms: number;
      readonly every: number;
      readonly patience: number;
    },
  ): Promise<void> {
    await Promise.all(Array.from({ length: this.#options.consumers }, () => this.#startConsumer()));
    const end = performance.now() + times.ms;
    const producing = [this.#produce(), this.#produce()];
    for (let i = 0; performance.now() < end; i++) {
      await pause(times.every);
      const fault = faults[i % faults.length] as Fault;
      const from = await fault.strike(this);
      if (from !== undefined) this.#struck.push({ name: fault.name, from, until: Date.now() });
    }
    await pause(times.every);
    this.#isOver = true;
    await Promise.all(producing);
    const isDone = async (): Promise<boolean> =>
      this.#unhandled().length === 0 && (await this.#isDrained()) && (await this.#areBuried());
    // What is missing then is for `verify` to say.
    await eventually(isDone, times.patience).catch(() => undefined);
    for (const { process } of this.#consumers) process.kill('SIGTERM');
    await Promise.all(this.#consumers.map((child) => child.ended()));
    this.#read();
  }

  /** Everything that was promised, or the failure that says what was not. */
  async verify(): Promise<void> {
    const { client, lists, streams } = this.#options;
    expect(this.#unhandled(), 'accepted and never handled').toEqual([]);
    const untouched = [...this.#accepted].filter(
      ([, { poison, handled }]) => !poison && handled.length > 1 && !this.#wasStruck(handled),
    );
    const before = untouched.map(([id, account]) => {
      const first = Math.min(...account.handled);
      const last = this.#struck.findLast(({ from }) => from <= first);
      return { id, ...account, after: last?.name, ms: first - (last?.until ?? 0) };
    });
    expect(before, 'handled twice, and no fault to blame').toEqual([]);
    for (const stream of streams) {
      const [pending] = (await client.xpending(stream, 'workers')) as [number];
      expect(pending, `pending in ${stream}`).toBe(0);
    }
    for (const list of lists) expect(await client.llen(list), `left in ${list}`).toBe(0);
    const dead = await this.#deadLetters();
    expect(this.#notIn(dead), 'poison that is in no dead-letter stream').toEqual([]);
    for (const [id, deliveries] of dead) {
      expect({ id, deliveries }).toEqual({ id, deliveries: MAX_DELIVERIES });
    }
    expect(dead.size).toBeGreaterThan(0);
  }

  /** Ids of poison that was accepted and is not among these dead letters. */
  #notIn(dead: ReadonlyMap<number, number>): number[] {
    return [...this.#accepted]
      .filter(([id, { poison }]) => poison && !dead.has(id))
      .map(([id]) => id);
  }

  async #areBuried(): Promise<boolean> {
    return this.#notIn(await this.#deadLetters()).length === 0;
  }

  /** What happened, as a table. */
  report(title: string): string {
    const accounts = [...this.#accepted.values()];
    const good = accounts.filter(({ poison }) => !poison);
    const lost = this.#unhandled().length;
    const twice = good.filter(({ handled }) => handled.length > 1).length;
    const rows = [...new Set(this.#struck.map(({ name }) => name))].map((name) => {
      const times = this.#struck.filter((one) => one.name === name);
      const worst = Math.max(...times.map((one) => this.#recovery(one)));
      return [name, String(times.length), `${worst}`];
    });
    const table = [['fault', 'times', 'recovered after ms'], ...rows];
    const widths = [0, 1, 2].map((i) => Math.max(...table.map((row) => (row[i] as string).length)));
    const lines = table.map((row) =>
      row.map((cell, i) => cell.padEnd(widths[i] as number)).join('  '),
    );
    return [
      title,
      `sent ${accounts.length} (and ${this.#unsure} that no producer saw accepted), handled ${good.length - lost} + ${accounts.length - good.length} poison, duplicates ${twice}, lost ${lost}`,
      ...lines,
      '',
    ].join('\n');
  }

  /** From the fault until something that was sent after it was handled in every place, and all that had been accepted before it was over. */
  #recovery({ from, until }: Struck): number {
    const first = new Map<string, number>();
    let last = from;
    for (const { place, at, handled } of this.#accepted.values()) {
      if (handled.length === 0 || at <= from - 1_000) continue;
      const done = Math.min(...handled);
      if (at > from) first.set(place, Math.min(first.get(place) ?? Infinity, done));
      if (at <= until) last = Math.max(last, done);
    }
    return Math.max(last, ...first.values()) - from;
  }

  async #startConsumer(): Promise<void> {
    const { connection, lists, streams } = this.#options;
    const file = join(this.#folder, String(++this.#files));
    const args = [connection, lists, streams].map((value) => JSON.stringify(value));
    const child = await startProgram('soak', [...args, file]);
    await child.next();
    this.#consumers.push(child);
  }

  async #produce(): Promise<void> {
    const { connection, lists, streams, isSafe } = this.#options;
    const broker = newBroker(connection, { logger: false });
    await broker.connect();
    const places = [
      ...lists.map((list) => [list, { list }] as const),
      ...streams.map((stream) => [stream, { stream }] as const),
    ];
    while (!this.#isOver) {
      await Promise.all(
        places.map(async ([name, to]) => {
          const id = this.#next++;
          const poison = id % POISON_EVERY === 0;
          try {
            await broker.publish({ id, poison }, to as { list: string });
            if ((await isSafe?.(broker, name)) === false) throw new Error('not on a replica');
            this.#accepted.set(id, { place: name, at: Date.now(), poison, handled: [] });
          } catch {
            this.#unsure++; // nobody was told that it was taken
          }
        }),
      );
      await pause(BREATH);
    }
  }

  /**
   * Ids of what was accepted and not handled so far. Of poison one delivery is enough: a process that is killed before
   * it writes a delivery down has spent it; that there were as many as there may be, the dead letters say.
   */
  #unhandled(): number[] {
    this.#read();
    return [...this.#accepted].filter(([, { handled }]) => handled.length === 0).map(([id]) => id);
  }

  /** Whether nothing is delivered any more: what a dead consumer had handled and not acknowledged is handled again. */
  async #isDrained(): Promise<boolean> {
    const { client, lists, streams } = this.#options;
    for (const stream of streams) {
      const [pending] = (await client.xpending(stream, 'workers')) as [number];
      if (pending > 0) return false;
    }
    for (const list of lists) {
      const base = `redstart:list:{${list}}`;
      const consumers = await client.hkeys(`${base}:consumers`);
      const hands = consumers.flatMap((name) => [`${base}:held:${name}`, `${base}:moved:${name}`]);
      for (const key of [list, ...hands, `${base}:parked`, `${base}:counts`])
        if ((await client.exists(key)) > 0) return false;
    }
    return true;
  }

  #read(): void {
    for (const { handled } of this.#accepted.values()) handled.length = 0;
    for (let i = 1; i <= this.#files; i++) {
      const lines = readFileSync(join(this.#folder, String(i)), 'utf8').split('\n');
      for (const line of lines) {
        const [, id, at] = line.split(' ');
        if (at !== undefined) this.#accepted.get(Number(id))?.handled.push(Number(at));
      }
    }
  }

  /** Whether a fault fell into the time from a little before its first handling to its last. */
  #wasStruck(handled: readonly number[]): boolean {
    const [first, last] = [Math.min(...handled) - AFTERMATH, Math.max(...handled)];
    return this.#struck.some(({ from, until }) => until >= first && from <= last);
  }

  /** The delivery counts of the dead, by id. */
  async #deadLetters(): Promise<Map<number, number>> {
    const { client } = this.#options;
    const dead = new Map<number, number>();
    const broker = newBroker(this.#options.connection, { logger: false });
    for (const name of [...this.#options.lists, ...this.#options.streams]) {
      if ((await client.exists(`${name}:dead`)) === 0) continue;
      const box = broker.deadLetters({ stream: `${name}:dead` });
      for (const { body, deliveries } of await box.list({ count: 100_000 }))
        dead.set((body as { id: number }).id, deliveries);
    }
    return dead;
  }
}

/** A consumer is killed; another starts. */
export const killConsumer: Fault = {
  name: 'consumer killed (SIGKILL)',
  strike: (soak) => soak.replace(soak.anyConsumer()),
};

/** A consumer is frozen for longer than others wait for it, and goes on then. */
export function freezeConsumer(ms: number): Fault {
  return {
    name: `consumer frozen for ${ms / 1_000} s (SIGSTOP)`,
    async strike(soak) {
      const { process } = soak.anyConsumer();
      process.kill('SIGSTOP');
      const frozen = Date.now();
      await pause(ms);
      process.kill('SIGCONT');
      return frozen;
    },
  };
}
