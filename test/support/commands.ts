import type { Redis } from 'ioredis';
import { eventually } from './eventually.ts';

/** How often the server has received each command, refused ones included. */
export async function commandsSent(client: Redis): Promise<Map<string, number>> {
  const sent = new Map<string, number>();
  for (const line of (await client.info('commandstats')).split('\r\n')) {
    const [, name = '', calls, refused = '0'] =
      /^cmdstat_([^:]+):calls=(\d+).*?(?:rejected_calls=(\d+)|$)/.exec(line) ?? [];
    if (calls !== undefined) sent.set(name, Number(calls) + Number(refused));
  }
  return sent;
}

/**
 * Commands per second that a server gets from other clients than `client`, measured for `ms`
 * milliseconds, without the commands in `except`. `client` must send nothing else meanwhile.
 */
export async function commandRate(
  client: Redis,
  ms: number,
  except: readonly string[] = [],
): Promise<number> {
  const before = await commandsSent(client);
  const began = performance.now();
  await new Promise((resolve) => setTimeout(resolve, ms));
  const seconds = (performance.now() - began) / 1_000;
  let sent = -1; // our own INFO
  for (const [name, count] of await commandsSent(client)) {
    if (!except.includes(name)) sent += count - (before.get(name) ?? 0);
  }
  return sent / seconds;
}

/**
 * The least of up to three measurements, or the first that is below `limit`: on a machine that holds processes up for
 * seconds, connections are made anew, which costs commands. What sends too many always does so each time.
 */
export async function quietest(limit: number, measure: () => Promise<number>): Promise<number> {
  let least = Infinity;
  for (let times = 0; times < 3 && least >= limit; times++)
    least = Math.min(least, await measure());
  return least;
}

/**
 * How long idle subscribers need to get a message, which `send` sends: the best and the median of seven, in milliseconds. While a busy
 * machine has let none come within 20 ms, or half of them later than 250 ms, more are sent. A subscriber that asks once a second would be
 * late by half a second, mostly, however many are sent.
 */
export async function wakes(
  woken: readonly number[],
  send: () => Promise<unknown>,
): Promise<[best: number, median: number]> {
  while (woken.length < 7 || (woken.length < 200 && isSlow(...typical(woken)))) {
    const before = woken.length;
    await send();
    await eventually(() => woken.length > before);
    // Idle again: a read that begins while the next message is there already would prove little.
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return typical(woken);
}

/** The best and the median. */
function typical(times: readonly number[]): [best: number, median: number] {
  const sorted = times.toSorted((a, b) => a - b);
  return [sorted[0] as number, sorted[times.length >> 1] as number];
}

function isSlow(best: number, median: number): boolean {
  return best >= 20 || median >= 250;
}
