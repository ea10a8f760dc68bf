import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

onBothBackends('a channel pattern', (bench) => {
  it('gives the parameters of a template, and the channel that was meant', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(name('logs.{level}.{host}'), (body, ctx) => {
      seen.push([body, { ...ctx.path }, ctx.message.source]);
    });
    await service.start();
    await service.publish('disk full', name('logs.error.db-1'));
    await eventually(() => expect(seen).toHaveLength(1));
    const channel = name('logs.error.db-1');
    expect(seen).toEqual([['disk full', { level: 'error', host: 'db-1' }, { channel }]]);
  });

  it('does not deliver what fits the glob but not the template', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(name('logs.{level}'), (body) => void seen.push(body));
    await service.start();
    await service.publish('dot inside', name('logs.a.b'));
    await service.publish('empty', name('logs.'));
    await service.publish('slash', name('logs.in/fo'));
    await service.publish('end', name('logs.end'));
    await eventually(() => expect(seen.at(-1)).toBe('end'));
    expect(seen).toEqual(['slash', 'end']);
  });

  it('is a raw glob with pattern: true', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber({ channel: name('h[ae]llo.?.*'), pattern: true }, (body, ctx) => {
      seen.push([body, ctx.path, (ctx.message.source as { channel: string }).channel]);
    });
    await service.start();
    await service.publish(1, name('hallo.x.y.z'));
    await service.publish(2, name('hillo.x.y'));
    await service.publish(3, name('hello.xx.y'));
    await service.publish(4, name('hello.x.'));
    await eventually(() => expect(seen).toHaveLength(2));
    expect(seen).toEqual([
      [1, {}, name('hallo.x.y.z')],
      [4, {}, name('hello.x.')],
    ]);
  });

  it('is the exact name with pattern: false, whatever it contains', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(
      { channel: name('*.{id}?'), pattern: false },
      (body) => void seen.push(body),
    );
    await service.start();
    expect(await service.publish('other', name('x.7y'))).toBe(0);
    expect(await service.publish('same', name('*.{id}?'))).toBe(1);
    await eventually(() => expect(seen).toEqual(['same']));
  });

  it('answers calls to any channel that fits it', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.subscriber(name('double.{n}'), (_, ctx) => Number(ctx.path['n']) * 2);
    await service.start();
    const call = { channel: name('double.21'), rpc: true, timeout: 20_000 } as const;
    expect(await service.publish(null, call)).toBe(42);
  });

  it('is called beside a subscriber of the exact channel', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.subscriber(name('room.{id}'), (_, ctx) => void seen.push(ctx.path['id']));
    service.subscriber(name('room.1'), () => void seen.push('exact'));
    await service.start();
    await service.publish('x', name('room.1'));
    await eventually(() => expect(seen).toHaveLength(2));
    expect(new Set(seen)).toEqual(new Set(['1', 'exact']));
  });
});
