// Where the time of a process goes: V8's own sampling profiler, its samples put into a few parts.
import { Session } from 'node:inspector/promises';

/** Microseconds between two samples. */
const INTERVAL = 200;
const folder = (path) => new URL(path, import.meta.url).href;

/** The parts, in the order in which a function is looked for: by its file and, for what is built in, by its name. */
const PARTS = [
  ['idle', ({ functionName }) => functionName === '(idle)'],
  ['gc', ({ functionName }) => functionName === '(garbage collector)'],
  ['redstart', ({ url }) => url.includes(folder('../../../dist/'))],
  ['bench', ({ url }) => url.includes(folder('./'))],
  ['ioredis', ({ url }) => url.includes('/node_modules/')],
  ['node', ({ url }) => url.startsWith('node:')],
  ['system', () => true],
];
const NAMES = PARTS.map(([name]) => name);
const WORK = NAMES.filter((name) => name !== 'idle');

export class Profiler {
  #session = new Session();

  async begin() {
    this.#session.connect();
    await this.#session.post('Profiler.enable');
    await this.#session.post('Profiler.setSamplingInterval', { interval: INTERVAL });
    await this.#session.post('Profiler.start');
  }

  /** The shares of the time that the process worked, by part. */
  async end() {
    const { profile } = await this.#session.post('Profiler.stop');
    this.#session.disconnect();
    return sharesOf(profile);
  }
}

/** What a built-in function takes, such as `JSON.parse`, counts for the function that calls it, as V8 has it. */
export function sharesOf({ nodes, samples, timeDeltas }) {
  const partOf = new Map(nodes.map(({ id, callFrame }) => [id, part(callFrame)]));
  const sums = Object.fromEntries(NAMES.map((name) => [name, 0]));
  for (const [i, id] of samples.entries()) sums[partOf.get(id)] += timeDeltas[i];
  const busy = WORK.reduce((sum, name) => sum + sums[name], 0);
  return Object.fromEntries(WORK.map((name) => [name, sums[name] / busy]));
}

const part = (frame) => PARTS.find(([, matches]) => matches(frame))[0];
