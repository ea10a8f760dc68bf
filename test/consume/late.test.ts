import { RedisRouter, subscriber } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

onBothBackends('a subscriber registered after the start', (bench) => {
  it.each(['channel', 'list', 'stream'] as const)('starts at once (%s)', async (kind) => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    const at = { [kind]: name() } as { list: string };
    const late = service.subscriber(at, (body: number) => `got ${body}`);
    await late.started();
    const call = { ...at, rpc: true, timeout: 5_000 } as const;
    expect(await service.publish(1, call)).toBe('got 1');
  });

  it('starts at once as a class, too', async () => {
    const { broker, name } = bench();
    const service = broker();
    await service.start();
    const list = name();
    class Late {
      @subscriber({ list })
      handle(body: number): string {
        return `got ${body}`;
      }
    }
    service.register(Late);
    expect(await service.publish(1, { list, rpc: true, timeout: 5_000 })).toBe('got 1');
  });

  it('starts at once in a router that was included before', async () => {
    const { broker, name } = bench();
    const service = broker();
    const router = new RedisRouter({ prefix: name('r.') });
    service.include(router);
    await service.start();
    await router.subscriber({ list: 'late' }, () => 'router').started();
    const call = { list: name('r.late'), rpc: true, timeout: 5_000 } as const;
    expect(await service.publish(1, call)).toBe('router');
  });

  it('leaves those that run alone', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(
      { channel: name(), noReply: true },
      (body) => void seen.push(['first', body]),
    );
    await service.start();
    const late = service.subscriber({ channel: name(), noReply: true }, (body) => {
      seen.push(['second', body]);
    });
    await late.started();
    await service.publish(1, name());
    await eventually(() => expect(seen).toHaveLength(2));
    expect(new Set(seen.map((entry) => (entry as string[])[0]))).toEqual(
      new Set(['first', 'second']),
    );
  });

  it('tells through started() why it could not start', async () => {
    const { broker, name } = bench();
    const service = broker();
    const other = service.subscriber(name(), () => undefined);
    await expect(other.started()).rejects.toMatchObject({ code: 'SETUP' });
    await service.start();
    await other.started();
  });
});

onBothBackends('a subscriber that is stopped by itself', (bench) => {
  it('takes no further message, while others go on', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    const one = service.subscriber(name('one'), (body) => void seen.push(body));
    service.subscriber(name('two'), () => 'still here');
    await service.start();
    await service.publish(1, name('one'));
    await eventually(() => expect(seen).toEqual([1]));
    await one.stop();
    expect(await service.publish(2, name('one'))).toBe(0);
    const call = { channel: name('two'), rpc: true, timeout: 5_000 } as const;
    expect(await service.publish(1, call)).toBe('still here');
    expect(seen).toEqual([1]);
  });

  it('by its own handler is not called again: later items stay in the list', async () => {
    const { broker, name } = bench();
    const [service, other] = [broker(), broker()];
    const [seen, rest]: [unknown[], unknown[]] = [[], []];
    let stopped: Promise<void> | undefined;
    const one = service.subscriber({ list: name() }, (body) => {
      seen.push(body);
      stopped ??= one.stop();
    });
    await other.publishBatch([1, 2, 3], { list: name() });
    await service.start();
    await eventually(() => expect(stopped).toBeDefined());
    await stopped;
    expect(seen).toEqual([1]);
    other.subscriber({ list: name() }, (body) => void rest.push(body));
    await other.start();
    await other.publish('end', { list: name() });
    await eventually(() => expect(rest.at(-1)).toBe('end'));
    expect(rest).toEqual([2, 3, 'end']);
  });

  it.each(['itself', 'its broker'] as const)(
    'and once more by %s gives back what it had fetched once',
    async (by) => {
      const { broker, name } = bench();
      const [service, other] = [broker(), broker()];
      const rest: unknown[] = [];
      let end: (() => void) | undefined;
      const one = service.subscriber(
        { list: name(), maxRecords: 3 },
        () => new Promise<void>((resolve) => void (end = resolve)),
      );
      await other.publishBatch([1, 2, 3], { list: name() });
      await service.start();
      await eventually(() => expect(end).toBeDefined());
      const stops = [one.stop(), by === 'itself' ? one.stop() : service.stop()];
      end?.();
      await Promise.all(stops);
      other.subscriber({ list: name() }, (body) => void rest.push(body));
      await other.start();
      await other.publish('end', { list: name() });
      await eventually(() => expect(rest.at(-1)).toBe('end'));
      expect(rest).toEqual([2, 3, 'end']);
    },
  );

  it('does not start again with its broker', async () => {
    const { broker, name } = bench();
    const service = broker();
    const one = service.subscriber(name('one'), () => 1);
    service.subscriber(name('two'), () => 2);
    await service.start();
    await one.stop();
    await service.stop();
    await service.start();
    const call = { channel: name('two'), rpc: true, timeout: 5_000 } as const;
    expect(await service.publish(null, call)).toBe(2);
    expect(await service.publish(null, name('one'))).toBe(0);
  });
});
