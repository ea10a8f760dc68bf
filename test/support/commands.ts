import type { Redis } from 'ioredis';

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
