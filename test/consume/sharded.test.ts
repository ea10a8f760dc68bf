import { SetupError, subscriber, type RedisBroker } from 'redstart';
import { expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { redisUrl, unique } from '../support/redis.ts';

onBothBackends('a sharded channel', (bench) => {
  it('carries messages and calls between those who say `sharded`, and to nobody else', async () => {
    const { broker, name } = bench();
    const service = broker();
    const channel = name();
    const heard: string[] = [];
    class Handlers {
      @subscriber({ channel, sharded: true })
      sharded(body: string): string {
        heard.push(`sharded ${body}`);
        return body.toUpperCase();
      }
    }
    service.register(Handlers);
    service.subscriber(channel, (body) => void heard.push(`plain ${String(body)}`));
    service.subscriber({ channel: `${channel}*`, pattern: true }, (body) => {
      heard.push(`glob ${String(body)}`);
    });
    await service.start();
    const caller = broker();
    expect(await caller.publish('a', { channel, sharded: true })).toBe(1);
    const call = { channel, sharded: true, rpc: true, timeout: 20_000 } as const;
    expect(await caller.publish('b', call)).toBe('B');
    await caller.publish('c', channel);
    const all = ['sharded a', 'sharded b', 'plain c', 'glob c'].toSorted();
    await eventually(() => expect(heard.toSorted()).toEqual(all));
  });

  it('may be published to by a publisher, by batch and with a prefix, and asked by gather', async () => {
    const { broker, name } = bench();
    const prefix = `${name()}:`;
    const services = [broker({ prefix }), broker({ prefix })];
    const heard: number[] = [];
    for (const service of services) {
      service.subscriber({ channel: 'x', sharded: true }, (body: number) => void heard.push(body));
      await service.start();
    }
    const caller = broker({ prefix });
    const publisher = caller.publisher({ channel: 'x', sharded: true });
    expect(await publisher.publish(1)).toBe(2);
    expect(await caller.publishBatch([2, 3], { channel: 'x', sharded: true })).toEqual([2, 2]);
    await eventually(() => expect(heard.toSorted((a, b) => a - b)).toEqual([1, 1, 2, 2, 3, 3]));
    const { answers, expected } = await caller.gather(4, { channel: 'x', sharded: true });
    expect([answers.length, expected]).toEqual([2, 2]);
  });

  it('that nobody listens to refuses a call at once', async () => {
    const { broker, name } = bench();
    const call = broker().publish(1, { channel: name(), sharded: true, rpc: true, timeout: 9_000 });
    await expect(call).rejects.toMatchObject({ code: 'NO_RESPONDERS' });
  });

  it('is left when its subscriber stops', async () => {
    const { broker, name } = bench();
    const [service, publisher] = [broker(), broker()];
    const to = { channel: name(), sharded: true };
    service.subscriber(to, () => undefined);
    await service.start();
    expect(await publisher.publish(1, to)).toBe(1);
    await service.stop();
    await eventually(async () => expect(await publisher.publish(2, to)).toBe(0));
  });
});

it('a sharded channel has no patterns and no templates, and says so when the broker starts', async () => {
  for (const address of [{ channel: 'logs.*', pattern: true }, { channel: 'logs.{level}' }]) {
    const broker = newBroker(redisUrl());
    const error = await refusal(broker, { ...address, sharded: true });
    expect(error).toBeInstanceOf(SetupError);
    expect(error.message).toMatch(/sharded.*logs|logs.*sharded/);
  }
});

it('only a channel is sharded, and an answer goes to none', async () => {
  const broker = newBroker(redisUrl());
  const send = (to: object): Promise<unknown> => broker.publish(1, to as never);
  await expect(send({ list: 'l', sharded: true })).rejects.toThrow(/sharded.*channel/);
  await expect(send({ channel: 'c', sharded: 1 })).rejects.toThrow(/boolean/);
  const replyTo = { channel: unique(), sharded: true };
  await expect(send({ channel: 'c', replyTo })).rejects.toThrow(/sharded/);
  expect((await refusal(newBroker(redisUrl()), { stream: 's', sharded: true })).message).toMatch(
    /sharded/,
  );
});

async function refusal(broker: RedisBroker, address: object): Promise<Error> {
  try {
    broker.subscriber(address as never, () => undefined);
    await broker.start();
  } catch (error) {
    return error as Error;
  }
  throw new Error('it was not refused');
}
