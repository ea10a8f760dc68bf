// A master is killed and its replica takes its place: one that has everything, and one that lags.
import { IdConflictError, UnknownIdError, type RedisBroker } from 'redstart';
import { expect } from 'vitest';
import { it, type Own } from '../support/concurrent.ts';
import { eventually } from '../support/eventually.ts';

const ORDERS = { stream: 'orders' };
const CALL = { list: 'charges', rpc: true, id: 'charge-1', timeout: 20_000 } as const;

async function setUp(own: Own) {
  const master = await own.server();
  const fast = ['--repl-diskless-sync-delay', '0'];
  const replica = await own.server([...fast, '--replicaof', '127.0.0.1', String(master.port)]);
  const [onMaster, onReplica] = [own.client(master.url), own.client(replica.url)];
  await eventually(async () =>
    expect(await onReplica.info('replication')).toContain('master_link_status:up'),
  );
  const handled: unknown[] = [];
  let runs = 0;
  const serve = async (url: string): Promise<RedisBroker> => {
    // It meets the end of its server.
    const service = own.broker(url, { logger: false });
    const from = { ...ORDERS, group: 'g', consumer: 'one', once: 60_000 };
    service.subscriber(from, (body) => void handled.push(body));
    service.subscriber({ list: 'charges', reliable: true }, () => ++runs);
    await service.start();
    return service;
  };
  return {
    master: master.url,
    handled,
    serve,
    /** The replica has all that was written so far. */
    caughtUp: () =>
      eventually(async () => {
        await onMaster.set('caught up', 1);
        expect(await onMaster.wait(1, 1_000)).toBe(1);
      }),
    /** From now on the replica gets nothing more. */
    cutOff: () => onReplica.replicaof('NO', 'ONE'),
    /** Kills the master; resolves with the URL of what was its replica. */
    failOver: async (): Promise<string> => {
      await onReplica.replicaof('NO', 'ONE');
      onMaster.disconnect();
      await master.stop();
      return replica.url;
    },
    entries: () => onReplica.xlen('orders'),
  };
}

it.concurrent(
  'ids hold over a fail-over to a replica that has everything',
  { timeout: 180_000 },
  async ({ own }) => {
    const { master, handled, serve, caughtUp, failOver, entries } = await setUp(own);
    const first = await serve(master);
    const sent = await first.publish(1, { ...ORDERS, id: 'order-1' });
    expect(await first.publish('pay', CALL)).toBe(1);
    await first.publish(2, { ...ORDERS, id: 'order-2', delay: 60_000 });
    await eventually(() => expect(handled).toEqual([1]));
    await first.stop();
    await caughtUp();
    const second = await serve(await failOver());
    expect(await second.publish(1, { ...ORDERS, id: 'order-1' })).toBe(sent);
    await expect(second.publish(0, { ...ORDERS, id: 'order-1' })).rejects.toThrow(IdConflictError);
    // Past the mark of the sending side: `once` knows that it was handled.
    await second.publish(1, { ...ORDERS, headers: { message_id: 'order-1' } });
    await second.publish(3, ORDERS);
    await eventually(() => expect(handled).toEqual([1, 3]));
    expect(await second.publish('pay', CALL)).toBe(1);
    expect(await second.answer('charge-1', { list: 'charges' })).toBe(1);
    expect(await second.cancel(ORDERS, 'order-2')).toBe(true);
    expect(await entries()).toBe(3);
  },
);

it.concurrent(
  'a fail-over to a replica that lags loses a message and its mark together: what is sent again is there once',
  { timeout: 180_000 },
  async ({ own }) => {
    const { master, handled, serve, caughtUp, cutOff, failOver, entries } = await setUp(own);
    const sender = own.broker(master, { logger: false });
    await sender.publish('known', { ...ORDERS, id: 'known' });
    await caughtUp();
    await cutOff();
    const first = await serve(master);
    const send = (broker: RedisBroker): Promise<unknown> =>
      Promise.all([
        broker.publish('known', { ...ORDERS, id: 'known' }),
        broker.publish('lost', { ...ORDERS, id: 'lost' }),
        broker.publishBatch(['a', 'b'], { ...ORDERS, id: (body: string) => body }),
      ]);
    await send(first);
    expect(await first.publish('pay', CALL)).toBe(1);
    await eventually(() => expect(handled).toHaveLength(4));
    await Promise.all([first.stop(), sender.stop()]);
    const second = await serve(await failOver());
    await expect(second.answer('charge-1', { list: 'charges' })).rejects.toThrow(UnknownIdError);
    await send(second);
    await send(second);
    // The charge is made again, too.
    expect(await second.publish('pay', CALL)).toBe(2);
    expect(await second.publish('pay', CALL)).toBe(2);
    expect(await entries()).toBe(4);
    // What the replica did not hear of is handled again: once.
    await eventually(() => expect(handled).toHaveLength(8));
    await second.publish('last', ORDERS);
    await eventually(() => expect(handled.at(-1)).toBe('last'));
    const all = new Set(['known', 'lost', 'a', 'b']);
    expect([new Set(handled.slice(0, 4)), new Set(handled.slice(4, 8))]).toEqual([all, all]);
    expect(handled).toHaveLength(9);
  },
);
