// The dashboard beside services of the real FastStream: what Redis knows of them, and what nobody knows.
import { describe, expect, it } from 'vitest';
import { board, serve } from '../dashboard/setup.ts';
import { Browser, hasBrowser } from '../support/browser.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { redisUrl } from '../support/redis.ts';
import { Caller, Service, type Seen } from './peer.ts';
import { findPython } from './python.ts';

const python = await findPython();

interface Row {
  readonly name: string;
  readonly unknown: string | null;
}

describe.skipIf(python === undefined)('the dashboard shows a FastStream service', () => {
  const service = new Service(python as string);
  const caller = new Caller(python as string);
  const own = () => newBroker(redisUrl(), { prefix: service.name('') });

  /** The row of a place, when it is as expected. */
  async function row(look: ReturnType<typeof board>, name: string, expected: object): Promise<Row> {
    return eventually(async () => {
      const { rows } = (await look.state()) as { rows: Row[] };
      const found = rows.find((one) => one.name === service.name(name));
      expect(found).toMatchObject(expected);
      return found as Row;
    });
  }

  /** Has it handle a message, so that there is something that could be known. */
  async function handled(what: string): Promise<void> {
    await caller.publish('x', service.at('stream', what));
    const seen: Seen[] = [];
    await eventually(() => expect(seen.push(...service.take(`stream:${what}`))).toBe(1));
  }

  it('with its groups and how far they are, and says that it cannot know what fails there', async () => {
    await handled('seen');
    await handled('failing');
    const look = board(own());
    const there = { kind: 'stream', group: 'workers', consumers: 1, waiting: 0, processes: 0 };
    const seen = await row(look, 'stream:seen', { ...there, pending: 0 });
    const failing = await row(look, 'stream:failing', there);
    // It has handled two messages and failed at one of them.
    expect([seen, failing]).toMatchObject([
      { handled: 0, failed: 0, titles: [], states: {} },
      { handled: 0, failed: 0, titles: [], states: {} },
    ]);
    for (const { unknown } of [seen, failing])
      expect(unknown).toMatch(
        /FastStream.* What it handles, and what fails there, cannot be known/,
      );
    const { json } = await look.ask({
      view: 'group',
      kind: 'stream',
      name: service.name('stream:seen'),
      group: 'workers',
    });
    expect(json).toMatchObject({ consumers: [{ name: 'python', pending: 0 }] });
  });

  it('with a stream that it reads without a group', async () => {
    await caller.publish('x', { stream: service.name('stream:alone') });
    const found = await row(board(own()), 'stream:alone', { kind: 'stream', group: null });
    expect(found.unknown).toContain('Who reads a stream without a group, and how far');
  });

  it('with its channels, and how many listen', async () => {
    const found = await row(board(own()), 'channel:echo', { kind: 'channel', consumers: 1 });
    expect(found.unknown).toContain('cannot be known');
  });

  it('with what waits in a list, decoded', async () => {
    const name = service.name('list:backlog');
    await caller.publish({ sku: 'A-1' }, { list: name, correlation_id: 'order-7' });
    const look = board(own());
    const found = await row(look, 'list:backlog', { kind: 'list', waiting: 1 });
    expect(found.unknown).toContain('Redis does not know who reads a list');
    const { json } = await look.ask({ view: 'messages', kind: 'list', name });
    expect(json.messages).toMatchObject([
      {
        body: expect.stringContaining('"sku": "A-1"'),
        headers: expect.arrayContaining([['correlation_id', 'order-7']]),
      },
    ]);
  });

  it.skipIf(!hasBrowser)('on the page', { timeout: 180_000 }, async () => {
    await handled('seen');
    const browser = await Browser.launch();
    const page = await browser.page({ width: 1000, height: 720 });
    await page.goto(await serve(own()));
    await page.sees('stream:seen');
    await page.sees('What it handles, and what fails there, cannot be known.');
    expect(page.errors).toEqual([]);
  });
});
