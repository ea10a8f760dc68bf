import { subscriber } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

onBothBackends('a channel subscriber', (bench) => {
  it('is called once for each message, in the order they were sent', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(name(), (body) => void seen.push(body));
    await service.start();
    const sent = Array.from({ length: 20 }, (_, i) => i);
    for (const body of sent) expect(await service.publish(body, name())).toBe(1);
    await service.publish('end', name());
    await eventually(() => expect(seen.at(-1)).toBe('end'));
    expect(seen).toEqual([...sent, 'end']);
  });

  it('hears nothing of other channels', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: [string, unknown][] = [];
    service.subscriber(name('a'), (body) => void seen.push(['a', body]));
    service.subscriber(name('b'), (body) => void seen.push(['b', body]));
    await service.start();
    await service.publish(1, name('a'));
    await service.publish(2, name('b'));
    await eventually(() => expect(seen).toHaveLength(2));
    // Answers to calls say that whatever was to come has come.
    await service.publish(3, { channel: name('a'), rpc: true, timeout: 20_000 });
    await service.publish(4, { channel: name('b'), rpc: true, timeout: 20_000 });
    expect(seen.filter(([at]) => at === 'a')).toEqual([
      ['a', 1],
      ['a', 3],
    ]);
    expect(seen.filter(([at]) => at === 'b')).toEqual([
      ['b', 2],
      ['b', 4],
    ]);
  });

  it('may stand several times on one method: each address reaches it', async () => {
    const { broker, name } = bench();
    const service = broker();
    const [channel, list, stream] = [name('channel'), name('list'), name('stream')];
    class Audit {
      readonly seen: unknown[] = [];
      @subscriber(channel)
      @subscriber({ list })
      @subscriber({ stream })
      note(body: unknown): void {
        this.seen.push(body);
      }
    }
    const audit = new Audit();
    service.register(audit);
    await service.start();
    await service.publish('by channel', channel);
    await service.publish('by list', { list });
    await service.publish('by stream', { stream });
    await eventually(() => expect(audit.seen).toHaveLength(3));
    expect(new Set(audit.seen)).toEqual(new Set(['by channel', 'by list', 'by stream']));
  });

  it('shares its channel with a second one: both are called', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: string[] = [];
    service.subscriber(
      { channel: name(), noReply: true },
      (body) => void seen.push(`first ${body}`),
    );
    service.subscriber(
      { channel: name(), noReply: true },
      (body) => void seen.push(`second ${body}`),
    );
    await service.start();
    await service.publish('a', name());
    await service.publish('b', name());
    await eventually(() => expect(seen).toHaveLength(4));
    expect(seen.toSorted()).toEqual(['first a', 'first b', 'second a', 'second b']);
  });

  it('is called by other brokers, and its broker publishes to theirs', async () => {
    const { broker, name } = bench();
    const [one, two] = [broker(), broker()];
    const seen: unknown[] = [];
    one.subscriber(name('in'), async (body, ctx) => {
      await ctx.broker.publish(`${body} and back`, name('out'));
    });
    two.subscriber(name('out'), (body) => void seen.push(body));
    await Promise.all([one.start(), two.start()]);
    await two.publish('there', name('in'));
    await eventually(() => expect(seen).toEqual(['there and back']));
  });

  it('calls every broker that listens, once each', async () => {
    const { broker, name } = bench();
    const seen: string[] = [];
    const services = ['a', 'b', 'c'].map((at) => {
      const service = broker();
      service.subscriber(name(), (body) => void seen.push(`${at} ${body}`));
      return service;
    });
    await Promise.all(services.map((service) => service.start()));
    expect(await broker().publish(1, name())).toBe(3);
    await eventually(() => expect(seen).toHaveLength(3));
    expect(seen.toSorted()).toEqual(['a 1', 'b 1', 'c 1']);
  });

  it('passes a failed message by and goes on with the next', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(name(), (body) => {
      if (body === 'bad') throw new Error('no good');
      seen.push(body);
    });
    await service.start();
    await service.publish('bad', name());
    await service.publish('good', name());
    await eventually(() => expect(seen).toEqual(['good']));
    expect(takeLogs()).toMatchObject([{ level: 'error', error: { message: 'no good' } }]);
  });
});
