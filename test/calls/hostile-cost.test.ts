// Whatever anybody sends, and wherever it arrives: each single frame costs little, and memory stays bounded.
import type { MessageFormat } from 'redstart';
import { describe, expect, it } from 'vitest';
import { encodeBundle } from '../../src/message/bundle.ts';
import { binaryFormat } from '../../src/message/format.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { hostileFrames } from '../support/hostile-frames.ts';
import { isLong } from '../support/long.ts';
import { testLog } from '../support/logs.ts';
import { unique } from '../support/redis.ts';

/** Entries in the streams of the test, so that what is measured is what redstart keeps. */
const KEPT = 50;

/** At each place; more than 200 000 in all where there is time. */
const FRAMES = isLong ? 26_000 : 160;
/** What comes before is compiled while it runs, and is not measured. */
const WARM_UP = 80;

/** Milliseconds of CPU, of all threads of the process, that one frame may take. */
const CPU = 50;
/**
 * A frame that took longer is sent again, alone: it may be the one during which memory was tidied up. One
 * that takes longer each time fails the test; and so do many that take longer once.
 */
const TRIES = 3;
const EXCUSED = Math.max(2, FRAMES / 5_000);

/** The bytes of a message are the whole frame: what is published arrives as it is. */
const raw: MessageFormat = {
  encode: ({ body }) => Buffer.from(body),
  decode: (frame) => ({ headers: {}, body: frame }),
};

const PLACES = [
  ['a channel', { channel: 'work' }, {}],
  ['a list', { list: 'work' }, {}],
  ['a reliable list', { list: 'work' }, { reliable: true }],
  ['a stream', { stream: 'work' }, {}],
  ['a group', { stream: 'work' }, { group: 'g' }],
  [
    'a group in lanes that handles ids once',
    { stream: 'work' },
    { group: 'g', ordered: true, once: 60_000 },
  ],
  ['an inbox', { channel: 'inbox' }, {}],
  ['the recovery channel', { channel: 'lost' }, {}],
] as const;

describe.each(PLACES)('on %s', (_, place, more) => {
  it(
    `each of ${FRAMES} hostile frames takes at most ${CPU} ms of CPU, and all take little memory`,
    { timeout: 1_200_000 },
    async () => {
      const [url, prefix] = [`memory://${unique()}`, unique()];
      const { logger, take } = testLog();
      const options = { logger, prefix: `${prefix}:`, pause: false, replies: 'inboxes' } as const;
      const rpc = { inboxPrefix: `${prefix}:inbox:` };
      const service = newBroker(url, { ...options, rpc });
      const good = new Set<unknown>();
      const at = 'channel' in place ? { channel: 'work' } : { ...place, ...more };
      const acknowledges = 'group' in more || 'reliable' in more;
      const letters = { deadLetter: { stream: 'dead', maxlen: KEPT } };
      const address: object = { ...at, ...(acknowledges ? letters : {}), concurrency: 50 };
      service.subscriber(address as { list: string }, (body) => {
        if (String(body).startsWith('good')) good.add(body);
        return body;
      });
      let inbox = '';
      service.subscriber('asks', (_body, { message }) => {
        inbox = message.replyTo as string;
      });
      await service.start();
      await service.publish('x', { channel: 'asks', rpc: true });

      const stranger = newBroker(url, { logger, format: raw });
      await stranger.connect();
      const target = targetOf(place, prefix, inbox);
      const rejections: unknown[] = [];
      const onRejection = (error: unknown): void => void rejections.push(error);
      process.on('unhandledRejection', onRejection);

      let sent = 0;
      /** Milliseconds of CPU until the frame, and a good message behind it, have been handled. */
      const costOf = async (frame: Buffer): Promise<number> => {
        const cpu = process.cpuUsage();
        await stranger.publish(frame, target as { stream: string });
        const mark = `good ${sent++}`;
        if ('channel' in place) await service.publish(mark, { channel: 'work', rpc: true });
        else await service.publish(mark, place as { list: string });
        while (!good.delete(mark)) await new Promise((resolve) => setImmediate(resolve));
        const { user, system } = process.cpuUsage(cpu);
        take();
        return (user + system) / 1_000;
      };
      const frame = frames(prefix, inbox);
      for (let n = 0; n < WARM_UP; n++) await costOf(frame());
      const before = memory();
      const costs: number[] = [];
      const tooLong: unknown[] = [];
      let excused = 0;
      for (let n = 0; n < FRAMES; n++) {
        const bytes = frame();
        let cost = await costOf(bytes);
        if (cost > CPU) excused++;
        for (let tries = 1; cost > CPU && tries < TRIES; tries++) cost = await costOf(bytes);
        if (cost > CPU) tooLong.push([cost, bytes.subarray(0, 300).toString('latin1')]);
        costs.push(cost);
      }
      expect(tooLong).toEqual([]);
      expect(excused).toBeLessThanOrEqual(EXCUSED);
      await eventually(async () => {
        for (const health of (await service.health()).subscribers)
          expect(health).toMatchObject({ state: 'running', running: 0 });
      }, 60_000);
      expect(memory() - before).toBeLessThan(300 * 2 ** 20);
      expect(service.stats.pendingCalls).toBe(0);
      process.off('unhandledRejection', onRejection);
      expect(rejections).toEqual([]);
      if (isLong) report(place, more, costs, excused, memory() - before);
      await service.stop();
      take();
    },
  );
});

/** Bytes in use, buffers included. */
function memory(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

function targetOf(place: object, prefix: string, inbox: string): object {
  if (!('channel' in place))
    return Object.fromEntries(
      Object.entries(place).flatMap(([kind, name]) => [
        [kind, `${prefix}:${name}`],
        ...(kind === 'stream' ? [['maxlen', KEPT]] : []),
      ]),
    );
  const channels = { work: `${prefix}:work`, inbox, lost: `${prefix}:inbox:lost` };
  return { channel: channels[place.channel as 'work'] };
}

/** Hostile frames, and now and then one that is large, deep, or a bundle of many. */
function frames(prefix: string, inbox: string): () => Buffer {
  const next = hostileFrames([`${prefix}:work`, inbox, `${prefix}:inbox:lost`]);
  const deep = '['.repeat(50_000);
  const many = Array.from({ length: 5_000 }, (_, n) => [`header ${n}`, 'x'] as const);
  const large = [
    Buffer.from(deep),
    Buffer.from(`{"data":"x","headers":${deep}${']'.repeat(50_000)}}`),
    Buffer.from(JSON.stringify({ data: 'x', headers: Object.fromEntries(many) })),
    Buffer.from(binaryFormat.encode({ headers: Object.fromEntries(many), body: Buffer.from('1') })),
    Buffer.alloc(500_000, 0xff),
  ];
  let n = 0;
  return () => {
    n++;
    if (n % 40 === 0) return large[(n / 40) % large.length] as Buffer;
    if (n % 40 === 20)
      return encodeBundle(Array.from({ length: 1_024 }, () => Buffer.from([0x89])));
    if (n % 40 === 30) return encodeBundle(Array.from({ length: 30 }, next));
    return next();
  };
}

/** Figures for the one who runs it. */
function report(
  place: object,
  more: object,
  costs: number[],
  excused: number,
  memoryMore: number,
): void {
  const sorted = costs.toSorted((a, b) => a - b);
  const at = (part: number): string =>
    `${(sorted[Math.floor(part * (sorted.length - 1))] as number).toFixed(2)} ms`;
  process.stdout.write(
    `${JSON.stringify({ ...place, ...more })}: median ${at(0.5)}, 99.9 % ${at(0.999)}, most ${at(1)}; sent again ${excused}; memory ${Math.round(memoryMore / 2 ** 20)} MiB more\n`,
  );
}
