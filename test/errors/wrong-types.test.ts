// A value of a wrong type, from JavaScript or a cast, is a SetupError that says so, and never a TypeError of ours.
import { RedisBroker, RedisResponse, Response, Retry, SetupError, event, rpc } from 'redstart';
import { afterAll, describe, expect, it } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { unique } from '../support/redis.ts';

const broker = newBroker(`memory://${unique()}`, {}, afterAll);
const none = null as never;
const bare = Object.create(null) as object;

const USES: Record<string, () => unknown> = {
  'publish to NaN': () => broker.publish(1, Number.NaN as never),
  'request to NaN': () => broker.request(1, Number.NaN as never),
  'register a function that is no class': () => broker.register(() => undefined),
  'register an object without a class': () => broker.register(bare),
  'deadLetters of null': () => broker.deadLetters(none),
  'seek a group that is a symbol': () =>
    broker.groups('s').seek(Symbol('g') as never, { to: 'end' }),
  'seek to an object': () => broker.groups('s').seek('g', { to: bare as never }),
  'remove a group that is null': () => broker.groups('s').remove(none),
  'clientFor null': () => broker.clientFor(none),
  'a Response with options null': () => new Response(1, none),
  'a RedisResponse with maxlen NaN': () => new RedisResponse(1, { maxlen: Number.NaN }),
  'a RedisResponse with maxlen -1': () => new RedisResponse(1, { maxlen: -1 }),
  'a contract without a definition': () => rpc({ list: 'x' }, none),
  'an event without a definition': () => event({ list: 'x' }, none),
  'Retry after a text': () => new Retry({ after: '5' as never }),
  'Retry after true': () => new Retry({ after: true as never }),
  'a connection that is an array': () => new RedisBroker([] as never),
  'a connection that is a URL object': () => new RedisBroker(new URL('redis://h') as never),
  'options with url, as other clients have it': () =>
    new RedisBroker({ url: 'redis://h' } as never),
  'a port that is none': () => new RedisBroker({ port: '6379x' as never }),
  'a port beyond 65535': () => new RedisBroker({ port: 70_000 }),
  'no sentinels': () => new RedisBroker({ sentinels: [], name: 'm' }),
  'sentinels without a name': () => new RedisBroker({ sentinels: [{ host: 'h', port: 1 }] }),
  'a sentinel that is null': () => new RedisBroker({ sentinels: [null as never], name: 'm' }),
  'next with null': async () => (await broker.subscribe({ list: 'by hand' })).next(none),
};

it.each(Object.entries(USES))('%s is a SetupError', async (_, use) => {
  const error: unknown = await (async () => use())().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(SetupError);
});

const schemaOf = (result: unknown): never =>
  ({ '~standard': { version: 1, vendor: 'test', validate: () => result } }) as never;

describe('a schema that keeps to no standard', () => {
  it.each([[undefined], [null], [5], [{ issues: 'bad' }]])(
    'and returns %j is a SetupError of the sender',
    async (result) => {
      const sender = new RedisBroker(`memory://${unique()}`);
      const sending = sender.publish(
        1 as never,
        event({ list: 'x' }, { schema: schemaOf(result) }),
      );
      await expect(sending).rejects.toThrow(/the schema of .* must return/);
      await sender.stop();
    },
  );

  it('and has issues that are none is told of with those', async () => {
    const issues = [null, { message: 5, path: 'x' }, { message: 'bad', path: [{ key: 'a' }, 1] }];
    const sender = new RedisBroker(`memory://${unique()}`);
    const sending = sender.publish(
      1 as never,
      event({ list: 'x' }, { schema: schemaOf({ issues }) }),
    );
    await expect(sending).rejects.toMatchObject({
      code: 'INVALID_MESSAGE',
      issues: [
        { path: [], message: 'does not fit' },
        { path: [], message: 'does not fit' },
        { path: ['a', 1], message: 'bad' },
      ],
    });
    await sender.stop();
  });
});
