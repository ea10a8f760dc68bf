// The page under FastStream's names, beside what FastStream 0.7.4 itself exports for the same traffic:
// faststream-page.txt, printed by faststream-page.py.
import { readFileSync } from 'node:fs';
import { metrics } from 'redstart/metrics';
import { expect, it } from 'vitest';
import { repository } from '../docs/program.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer } from '../support/redis.ts';
import { parse, samplesOf, valueOf, type Sample } from './exposition.ts';

class ValueError extends Error {
  override readonly name = 'ValueError';
}

function work(body: unknown): unknown {
  if (body === 'bad') throw new ValueError('no');
  return body;
}

it('has the same names, labels, buckets and numbers as the page of FastStream', async () => {
  const service = newBroker((await ownServer()).url);
  const page = metrics(service, { names: 'faststream' });
  service.subscriber('prices', work);
  service.subscriber({ list: 'orders' }, work);
  service.subscriber({ stream: 'shipments', group: 'g', ackPolicy: 'ack' }, async (body, ctx) => {
    const { deliveryCount } = ctx.message;
    if (deliveryCount > 1) return;
    if (body === 'nack') await ctx.nack({ after: 600_000 });
    if (body === 'reject') await ctx.reject();
    work(body);
  });
  await service.start();
  for (const body of ['ok', 'bad']) {
    await service.publish(body, { channel: 'prices' });
    await service.publish(body, { list: 'orders' });
  }
  for (const body of ['ok', 'bad', 'nack', 'reject'])
    await service.publish(body, { stream: 'shipments' });
  await service.request('ok', { channel: 'prices', timeout: 20_000 });
  await eventually(async () => {
    const families = parse(await page());
    const processed = samplesOf(families, 'faststream_received_processed_messages_total');
    expect(processed.reduce((sum, { value }) => sum + value, 0)).toBe(9);
  });

  const ours = parse(await page());
  const theirs = parse(readFileSync(repository('test/integrations/faststream-page.txt'), 'utf8'));
  // FastStream writes HELP and TYPE of a family without samples, too: all nine are there.
  expect([...ours.keys()]).toEqual([...theirs.keys()]);
  expect(ours.size).toBe(9);
  for (const [name, family] of theirs) {
    expect(ours.get(name)).toMatchObject({ help: family.help, type: family.type });
    const known = (all: readonly Sample[]): string[] =>
      all.map((one) => JSON.stringify([one.name, one.labels, valueIn(one)])).sort();
    expect(known(ours.get(name)?.samples ?? [])).toEqual(known(family.samples));
  }
  expect(valueOf(ours, 'faststream_received_messages_size_bytes_sum', { handler: 'orders' })).toBe(
    5,
  );
  takeLogs();
});

/** Times differ from run to run; counts do not. */
function valueIn({ name, value }: Sample): number | undefined {
  return /seconds_(bucket|sum)$/.test(name) ? undefined : value;
}

it('has the name of the app, and the template in the place of the channel', async () => {
  const service = newBroker('memory://faststream-names');
  const page = metrics(service, { names: 'faststream', appName: 'shop' });
  service.subscriber('logs.{level}', () => undefined);
  await service.start();
  await service.publish('x', { channel: 'logs.error' });
  const labels = { app_name: 'shop', broker: 'redis', handler: 'logs.{level}' };
  await eventually(async () => {
    const families = parse(await page());
    expect(valueOf(families, 'faststream_received_messages_total', labels)).toBe(1);
    expect(valueOf(families, 'faststream_received_messages_in_process', labels)).toBe(0);
    expect(
      valueOf(families, 'faststream_published_messages_total', { destination: 'logs.{level}' }),
    ).toBe(1);
  });
});
