// What else the machine did while something was measured: time that the hypervisor took, CPU of other programs, and a
// piece of work that takes the same time whenever the machine is the same.
import { readdirSync, readFileSync } from 'node:fs';
import { cpus } from 'node:os';

/** More of all cores than this, and what was measured may be noise. A quiet machine is below 0.01 in both. */
const STEAL = 0.03;
const FOREIGN = 0.08;
/** The fixed work before and after differs by more than this where the machine's speed changed. */
const MOVED = 0.15;

/**
 * Why one should not trust what was measured, in words; nothing where the machine was quiet. `steal` and
 * `foreign` are shares of the time of all cores, undefined where the system does not tell; `before` and `after`
 * are how fast the fixed work was done.
 */
export function disturbances({ steal, foreign, before, after }) {
  const reasons = [];
  if (steal > STEAL) reasons.push(`the hypervisor took ${percent(steal)} of the CPU`);
  if (foreign > FOREIGN) reasons.push(`other programs used ${percent(foreign)} of the CPU`);
  const moved = Math.max(before / after, after / before) - 1;
  if (moved > MOVED)
    reasons.push(`the speed of the machine changed by ${percent(moved)} on the way`);
  return reasons;
}

const percent = (share) => `${Math.round(share * 100)} %`;

/** Looks at the machine from `begin` to `end`. */
export class Watch {
  #server;
  #before;
  #start;

  /** `withReference`: also does the fixed work, which takes 0.1 s on each side. */
  static async begin({ server, withReference = true }) {
    const watch = new Watch();
    watch.#server = server;
    watch.#before = withReference ? speed() : undefined;
    watch.#start = await counters(server);
    return watch;
  }

  /** The reasons for not trusting what was measured since. */
  async end() {
    const [from, to] = [this.#start, await counters(this.#server)];
    const speeds = this.#before === undefined ? {} : { before: this.#before, after: speed() };
    if (from === undefined) return disturbances(speeds);
    const capacity = cpus().length * (to.seconds - from.seconds);
    const used = to.busy - from.busy - (to.own - from.own);
    const steal = (to.steal - from.steal) / capacity;
    return disturbances({ steal, foreign: used / capacity, ...speeds });
  }
}

/** Turns a millisecond of work that depends on nothing but the CPU: the best of three times 30 ms. */
function speed() {
  const value = { text: 'leave it at the door', numbers: Array.from({ length: 40 }, (_, i) => i) };
  const once = () => {
    const began = performance.now();
    let turns = 0;
    while (performance.now() - began < 30)
      for (let i = 0; i < 20; i++, turns++) JSON.parse(JSON.stringify(value));
    return turns / (performance.now() - began);
  };
  return Math.max(once(), once(), once());
}

/** Of Linux, in ticks that are 10 ms everywhere. */
const TICKS = 100;

/** Seconds of CPU so far: of all, stolen, and ours: of this process, those below it, and a Redis that none of them started. */
async function counters(server) {
  if (process.platform !== 'linux') return undefined;
  const redis = server.isForeign ? (await server.counters()).cpu / 1e6 : 0;
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8').split('\n', 1)[0].split(/\s+/);
  // Interrupts are left out: the network's are ours, and no process is charged for them.
  const [user, nice, system, , , , , steal = 0] = ticks.map((value) => Number(value) / TICKS);
  const seconds = performance.now() / 1_000;
  return { seconds, busy: user + nice + system, steal, own: ownTime() + redis };
}

/** What this process and all below it used, those that have ended included. */
function ownTime() {
  const processes = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const below = new Map();
  for (const pid of processes) {
    const times = timesOf(pid);
    if (times === undefined) continue;
    if (!below.has(times.parent)) below.set(times.parent, []);
    below.get(times.parent).push({ pid, used: times.used });
  }
  const under = (pid) =>
    (below.get(pid) ?? []).reduce((total, child) => total + child.used + under(child.pid), 0);
  const self = String(process.pid);
  return timesOf(self).used + under(self);
}

function timesOf(pid) {
  let text;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined; // it has ended since
  }
  // Behind the name, which may contain anything: state, parent, …, and four times of CPU.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const used = fields.slice(11, 15).reduce((total, value) => total + Number(value) / TICKS, 0);
  return { parent: fields[1], used };
}
