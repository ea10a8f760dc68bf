// Messages of several keys, and whether they are handled in order.
import type { MessageContext, RedisBroker } from 'redstart';
import type { Bench } from '../support/broker.ts';

export type Structure = 'group' | 'reliable list' | 'plain list' | 'plain stream' | 'channel';
export const ALL: readonly Structure[] = [
  'group',
  'reliable list',
  'plain list',
  'plain stream',
  'channel',
];
export const ACKNOWLEDGED: readonly Structure[] = ['group', 'reliable list'];

export interface Step {
  readonly key: string;
  readonly n: number;
}

/** Where messages of a structure go, and what its subscriber is told. */
export function placeOf(structure: Structure, bench: Bench): { to: object; from: object } {
  const name = bench.name();
  if (structure === 'channel') return { to: { channel: name }, from: { channel: name } };
  if (structure === 'plain list') return { to: { list: name }, from: { list: name } };
  if (structure === 'reliable list')
    return { to: { list: name }, from: { list: name, reliable: true } };
  if (structure === 'plain stream')
    return { to: { stream: name }, from: { stream: name, lastId: '0' } };
  return { to: { stream: name }, from: { stream: name, group: 'g', consumer: 'one' } };
}

export function handle(
  broker: RedisBroker,
  from: object,
  options: object,
  handler: (step: Step, ctx: MessageContext) => unknown,
) {
  return broker.subscriber({ ...from, ordered: true, ...options } as never, handler as never);
}

export async function send(broker: RedisBroker, to: object, steps: readonly Step[]): Promise<void> {
  await broker.publishBatch(steps, { ...to, key: ({ key }: Step) => key } as never);
}

/** `count` steps of each key, in turn. */
export function stepsOf(keys: readonly string[], count: number): Step[] {
  return Array.from({ length: count }, (_, n) => keys.map((key) => ({ key, n }))).flat();
}

/** Waits as long as a handler of some work. */
export const work = (ms = 2): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Remembers which steps began, and fails where one begins beside another of its key, or before its turn. */
export class Watch {
  readonly begun: Step[] = [];
  readonly mistakes: string[] = [];
  readonly #running = new Set<string>();
  /** The last step of each key that has ended. */
  readonly #done = new Map<string, number>();

  begin({ key, n }: Step): void {
    if (this.#running.has(key)) this.mistakes.push(`${key}: two at once, at ${n}`);
    const last = this.#done.get(key) ?? -1;
    if (n !== last + 1) this.mistakes.push(`${key}: ${n} after ${last}`);
    this.#running.add(key);
    this.begun.push({ key, n });
  }

  /** It is handled, or given up. */
  done({ key, n }: Step): void {
    this.#running.delete(key);
    this.#done.set(key, n);
  }

  failed({ key }: Step): void {
    this.#running.delete(key);
  }

  get finished(): number {
    let sum = 0;
    for (const n of this.#done.values()) sum += n + 1;
    return sum;
  }
}
