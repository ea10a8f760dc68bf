// Callers in an open loop: calls start by a schedule, whether or not the ones before were answered.
import { BEAT, clock, nextBeat } from './metronome.mjs';
import { percentile } from './statistics.mjs';

/** Milliseconds after the last call within which all must be answered. */
const PATIENCE = 20_000;

/**
 * Milliseconds after the start at which calls are due, in order: at random (a Poisson process), `rate` in a
 * second on average, put off to the next beat. The same seed gives everybody the same.
 */
export function scheduleOf({ rate, milliseconds, seed }) {
  const random = randomFrom(seed);
  const due = [];
  const gap = 1_000 / rate;
  for (let at = -gap * Math.log(1 - random()); at < milliseconds;) {
    due.push(Math.ceil(at / BEAT) * BEAT);
    at -= gap * Math.log(1 - random());
  }
  return due;
}

/**
 * Starts `call` by the schedule, and gives how long calls took, in microseconds: counted from the moment at which a call
 * was due, so that a loop or a library that stalls pays for all calls that it holds up. `late` is the part of
 * it before the call was started.
 */
export async function pace(call, { rate, milliseconds, seed, body, metronome }) {
  const due = scheduleOf({ rate, milliseconds, seed });
  if (due.length === 0) throw new Error(`nothing is due: ${rate} calls/s are too few`);
  const took = new Float64Array(due.length);
  const late = new Float64Array(due.length);
  const began = nextBeat(clock() + 2 * BEAT);
  let [started, answered] = [0, 0];
  let timer;
  await new Promise((resolve, reject) => {
    const start = (i) => {
      const n = i + 1;
      const moment = began + due[i];
      late[i] = clock() - moment;
      const onAnswer = (answer) => {
        if (answer.n !== n) throw new Error(`call ${n} got the answer of ${answer.n}`);
        took[i] = clock() - moment;
        if (++answered === due.length) resolve();
      };
      call({ n, ...body })
        .then(onAnswer)
        .catch(reject);
    };
    const giveUp = () =>
      reject(new Error(`${due.length - answered} of ${due.length} calls were not answered`));
    timer = setTimeout(giveUp, milliseconds + PATIENCE);
    metronome.start(() => {
      for (const now = clock() - began; started < due.length && due[started] <= now;)
        start(started++);
    });
  }).finally(() => {
    metronome.stop();
    clearTimeout(timer);
  });
  took.sort();
  late.sort();
  return {
    rate: (due.length / milliseconds) * 1_000,
    p50: microseconds(took, 0.5),
    p99: microseconds(took, 0.99),
    p999: microseconds(took, 0.999),
    max: microseconds(took, 1),
    late: microseconds(late, 0.5),
  };
}

const microseconds = (milliseconds, share) => 1_000 * percentile(milliseconds, share);

/** Numbers from 0 to 1 that look random: mulberry32. */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
