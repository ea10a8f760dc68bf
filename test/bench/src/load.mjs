// Callers in a closed loop: so many calls wait at any time, each checked to have its own answer.
import { percentile } from './statistics.mjs';

/** Calls for so many milliseconds, and until the last answer is here. */
export async function load(call, { inFlight, milliseconds, body }) {
  const latencies = [];
  let calls = 0;
  const cpuBefore = process.cpuUsage();
  const began = performance.now();
  const end = began + milliseconds;
  const caller = async () => {
    for (let now = performance.now(); now < end;) {
      const n = ++calls;
      const answer = await call({ n, ...body });
      if (answer.n !== n) throw new Error(`call ${n} got the answer of ${answer.n}`);
      const then = now;
      now = performance.now();
      if (inFlight === 1) latencies.push(now - then);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, caller));
  const elapsed = performance.now() - began;
  const cpu = microseconds(process.cpuUsage(cpuBefore)) / calls;
  latencies.sort((a, b) => a - b);
  const [p50, p99] = [0.5, 0.99].map((share) => 1_000 * percentile(latencies, share));
  const serial = inFlight === 1 ? { p50, p99 } : {};
  return { calls, rate: (calls / elapsed) * 1_000, cpu, ...serial };
}

export function microseconds({ user, system }) {
  return user + system;
}
