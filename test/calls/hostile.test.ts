// What anybody may send, to everything that reads: no loop ends, and nothing is left over. What each frame
// costs is in hostile-cost.test.ts.
import type { RedisBroker } from 'redstart';
import { describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { hostileFrames } from '../support/hostile-frames.ts';
import { isLong } from '../support/long.ts';
import { testLog } from '../support/logs.ts';
import { rawFrame } from '../support/frames.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';

const CHUNK = 100;
/** On each structure; 200 000 in all where there is time. */
const FRAMES = isLong ? 40_000 : 200;

const STRUCTURES = [
  ['a channel', 'publish', (name: string) => ({ channel: name })],
  ['a list', 'rpush', (name: string) => ({ list: name })],
  ['a reliable list', 'rpush', (name: string) => ({ list: name, reliable: true })],
  ['a stream', 'xadd', (name: string) => ({ stream: name })],
  ['a group', 'xadd', (name: string) => ({ stream: name, group: 'g' })],
  [
    'a group in lanes that handles ids once',
    'xadd',
    (name: string) => ({ stream: name, group: 'g', ordered: true, once: 60_000 }),
  ],
] as const;

describe.each(STRUCTURES)('on %s', (_, command, at) => {
  it(
    `${FRAMES} hostile frames end no loop, leave nothing running and take little memory`,
    { timeout: 1_200_000 },
    async () => {
      const raw = rawClient();
      const name = unique('hostile');
      const { logger, take } = testLog();
      const service: RedisBroker = newBroker(redisUrl(), {
        ...{ logger, prefix: `${name}:`, pause: false, replies: 'inboxes' },
        rpc: { inboxPrefix: `${name}:inbox:` },
      });
      const rejections: unknown[] = [];
      const onRejection = (error: unknown): void => void rejections.push(error);
      process.on('unhandledRejection', onRejection);
      const good = new Set<unknown>();
      const address = at('work') as { list: string; reliable: true };
      service.subscriber({ ...address, concurrency: 50 }, (body) => void good.add(body));
      await service.start();
      const frame = hostileFrames([`${name}:work`, `${name}:inbox:x`, `${name}:inbox:lost`]);
      const { reliable: _reliable, ...to } = address;
      for (const own of ['group', 'ordered', 'once']) delete (to as Record<string, unknown>)[own];
      const before = process.memoryUsage().heapUsed;
      for (let sent = 0; sent < FRAMES; sent += CHUNK) {
        const pipeline = raw.pipeline();
        for (let n = 0; n < CHUNK; n++)
          if (command === 'xadd') pipeline.xadd(`${name}:work`, '*', '__data__', frame());
          else pipeline[command](`${name}:work`, frame());
        await pipeline.exec();
        const mark = `good ${sent}`;
        await service.publish(mark, to);
        // What is good is handled all the same.
        await eventually(() => expect(good).toContain(mark), 60_000);
        good.clear();
        take();
      }
      await eventually(async () => {
        const [health] = (await service.health()).subscribers;
        expect(health).toMatchObject({ state: 'running', running: 0 });
      }, 60_000);
      expect(process.memoryUsage().heapUsed - before).toBeLessThan(200 * 2 ** 20);
      expect(service.stats.pendingCalls).toBe(0);
      process.off('unhandledRejection', onRejection);
      expect(rejections).toEqual([]);
      await service.stop();
      take();
    },
  );
});

it.each([
  ['a group', 'xadd', { stream: 'work', group: 'g' }],
  ['a group with lanes', 'xadd', { stream: 'work', group: 'g', ordered: true }],
  ['a reliable list', 'rpush', { list: 'work', reliable: true }],
] as const)(
  'a repeated request that was answered before is acknowledged: %s',
  async (_, command, at) => {
    const [raw, prefix] = [rawClient(), `${unique('again')}:`];
    const service = newBroker(redisUrl(), { prefix });
    const seen: unknown[] = [];
    service.subscriber({ ...at } as { list: string }, (body) => void seen.push(body));
    await service.start();
    const send = (body: string, again: object = {}): Promise<unknown> => {
      const headers = { reply_to: `redstart:inbox:{${prefix}}`, 'redstart-call': 'c', ...again };
      const frame = rawFrame(headers, body);
      return command === 'xadd'
        ? raw.xadd(`${prefix}work`, '*', '__data__', frame)
        : raw.rpush(`${prefix}work`, frame);
    };
    await send('1');
    await eventually(() => expect(seen).toEqual([1]));
    await send('2', { 'redstart-again': '1' });
    const to = 'list' in at ? { list: at.list } : { stream: at.stream };
    await service.publish(3, to as { list: string });
    // Behind it in the same lane.
    await eventually(() => expect(seen).toEqual([1, 3]));
    await eventually(async () => {
      expect((await service.health()).subscribers).toMatchObject([{ held: 0 }]);
    });
  },
);
