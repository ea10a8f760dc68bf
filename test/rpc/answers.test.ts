import {
  DecodeError,
  defaultCodec,
  EncodeError,
  InvalidMessageError,
  NoMatchingHandlerError,
  NoReplyError,
  RedisResponse,
  RemoteError,
  Response,
  type Codec,
  type MessageContext,
  type RedstartError,
  type RedisBroker,
  type Middleware,
} from 'redstart';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

const KINDS = ['channel', 'list', 'stream', 'stream with a group'] as const;
type Kind = (typeof KINDS)[number];

/** Far more than any answer takes: who waits for this long has got none. */
const TIMEOUT = 45_000;

interface Address {
  channel: string;
}

const to = (kind: Kind, name: string): Address =>
  ({ [kind.split(' ')[0] as string]: name }) as unknown as Address;

const from = (kind: Kind, name: string): Address => ({
  ...to(kind, name),
  ...(kind.includes('group') ? { group: 'g' } : {}),
});

/** Says JSON and sends none. */
const brokenCodec: Codec = {
  ...defaultCodec,
  encode: () => ({ body: '{"a":', contentType: 'application/json' }),
};

/** The error that a call ends with; it must come at once and not with the time-out. */
async function failure(call: Promise<unknown>): Promise<RedstartError> {
  const began = performance.now();
  const error = await call.then(
    (value) => new Error(`there was an answer: ${String(value)}`),
    (reason: unknown) => reason,
  );
  expect(performance.now() - began).toBeLessThan(TIMEOUT / 3);
  return error as RedstartError;
}

onBothBackends('over a', (bench) => {
  describe.each(KINDS)('%s, a caller gets', (kind) => {
    /** A caller with a broker of its own. */
    async function serve(set: (service: RedisBroker, address: Address) => void): Promise<{
      call: (body: unknown, more?: object) => Promise<unknown>;
      request: RedisBroker['request'];
      address: Address;
      caller: RedisBroker;
    }> {
      const { broker, name } = bench();
      const [service, caller] = [broker(), broker()];
      set(service, from(kind, name()));
      await service.start();
      const address = to(kind, name());
      const call = (body: unknown, more = {}): Promise<unknown> =>
        caller.publish(body, { ...address, rpc: true, timeout: TIMEOUT, ...more });
      return { call, request: caller.request, address, caller };
    }

    it('the value that the handler returns, awaited or not', async () => {
      const { call } = await serve((service, address) => {
        service.subscriber(address, (body: unknown) =>
          body === 'late' ? Promise.resolve(body) : { body },
        );
      });
      expect(await call('now')).toEqual({ body: 'now' });
      expect(await call('late')).toBe('late');
    });

    it('null where the handler returns nothing', async () => {
      const { call } = await serve((service, address) => {
        service.subscriber(address, () => undefined);
      });
      expect(await call(1)).toBeNull();
    });

    it('with request, the whole message: body, headers and correlation id', async () => {
      const { request, address } = await serve((service, at) => {
        service.subscriber(at, () => new Response({ a: 1 }, { headers: { region: 'eu' } }));
      });
      const answer = await request('x', { ...address, correlationId: 'mine', timeout: TIMEOUT });
      expect(answer).toMatchObject({ body: { a: 1 }, correlationId: 'mine' });
      expect(answer.headers['region']).toBe('eu');
      expect(answer.contentType).toBe('application/json');
    });

    it('an answer under another correlation id all the same', async () => {
      const { call, request, address } = await serve((service, at) => {
        service.subscriber(at, (n: number) => {
          const Type = n % 2 === 0 ? Response : RedisResponse;
          return new Type(n, { correlationId: 'always the same' });
        });
      });
      const calls = Array.from({ length: 20 }, (_, n) => call(n));
      expect(await Promise.all(calls)).toEqual(Array.from({ length: 20 }, (_, n) => n));
      const answer = await request(1, { ...address, timeout: TIMEOUT });
      expect(answer.correlationId).toBe('always the same');
    });

    it('the error that the handler throws', async () => {
      const { call } = await serve((service, address) => {
        service.subscriber(address, (body: string) => {
          const error = Object.assign(new RangeError('too far'), { code: 'E_FAR', data: [1] });
          if (body === 'later') return Promise.reject(error);
          throw error;
        });
      });
      for (const body of ['now', 'later']) {
        const error = await failure(call(body));
        expect(error).toBeInstanceOf(RemoteError);
        expect(error).toMatchObject({
          message: 'too far',
          remoteName: 'RangeError',
          remoteCode: 'E_FAR',
          data: [1],
        });
      }
      expect(takeLogs()).toHaveLength(2);
    });

    it('the issues of a body that does not fit the schema, and the handler does not run', async () => {
      let ran = 0;
      const { call } = await serve((service, address) => {
        const schema = z.object({ items: z.array(z.object({ count: z.number() })) });
        service.subscriber({ ...address, schema }, () => ran++);
      });
      const error = await failure(call({ items: [{ count: 1 }, { count: 'many' }] }));
      expect(error).toBeInstanceOf(InvalidMessageError);
      expect(error).toBeInstanceOf(RemoteError);
      expect((error as InvalidMessageError).issues).toMatchObject([
        { path: ['items', 1, 'count'] },
      ]);
      expect(await call({ items: [] })).toBe(0);
      expect(ran).toBe(1);
      expect(takeLogs()).toHaveLength(1);
    });

    it('an error where the answer does not fit its schema', async () => {
      const { call } = await serve((service, address) => {
        service.subscriber({ ...address, reply: z.string() }, () => 5 as never);
      });
      const error = await failure(call(1));
      expect(error).toBeInstanceOf(InvalidMessageError);
      expect(error.message).toContain('answer');
      expect(takeLogs()).toHaveLength(1);
    });

    it('a DecodeError where the body is not what it says', async () => {
      const { address, caller } = await serve((service, at) => {
        service.subscriber(at, () => 'handled');
      });
      const broken = caller.publisher(address, { codec: brokenCodec });
      const error = await failure(broken.request(1, { timeout: TIMEOUT }));
      expect(error).toBeInstanceOf(DecodeError);
      expect(error).toBeInstanceOf(RemoteError);
      expect(takeLogs()).toHaveLength(1);
    });

    it('a NoMatchingHandlerError where no filter lets the message in', async () => {
      const { call } = await serve((service, address) => {
        service.subscriber({ ...address, filter: ({ body }) => body === 'a' }, () => 'A');
        service.subscriber({ ...address, filter: ({ body }) => body === 'b' }, () => 'B');
      });
      expect(await call('b')).toBe('B');
      const error = await failure(call('c'));
      expect(error).toBeInstanceOf(NoMatchingHandlerError);
      expect(error).toBeInstanceOf(RemoteError);
      takeLogs();
    });

    it('a NoReplyError where the handler rejects', async () => {
      const { call } = await serve((service, address) => {
        service.subscriber(address, async (_: unknown, ctx: MessageContext) => {
          await ctx.reject();
          await ctx.reject();
        });
      });
      const error = await failure(call(1));
      expect(error).toBeInstanceOf(NoReplyError);
      expect(error).toBeInstanceOf(RemoteError);
      takeLogs();
    });

    it('a NoReplyError where the handler never answers, and the handler runs', async () => {
      let ran = 0;
      const { call } = await serve((service, address) => {
        service.subscriber({ ...address, noReply: true }, () => ran++);
      });
      const error = await failure(call(1));
      expect(error).toBeInstanceOf(NoReplyError);
      expect(error).toBeInstanceOf(RemoteError);
      expect(error.message).toContain('noReply');
      await eventually(() => expect(ran).toBe(1));
    });

    it("an EncodeError that names redstart's Response where it is fetch's", async () => {
      const { call } = await serve((service, address) => {
        service.subscriber(address, () => new globalThis.Response('body'));
      });
      const error = await failure(call(1));
      expect(error).toBeInstanceOf(EncodeError);
      expect(error.message).toContain('the Response that redstart exports');
      expect(takeLogs()).toHaveLength(1);
    });

    it.each([
      ['', []],
      [', also through middleware', [{ publish: (_, next) => next() }]],
    ] satisfies [string, Middleware[]][])(
      'an EncodeError where the result cannot be sent%s',
      async (_, [through]) => {
        const { call } = await serve((service, address) => {
          if (through !== undefined) service.use(through);
          service.subscriber(address, (body: string) => {
            const circle: { self?: unknown } = {};
            circle.self = circle;
            if (body === 'header') return new Response(1, { headers: { 'x-bad': {} as string } });
            const results: Record<string, unknown> = { bigint: 1n, circle, function: () => 1 };
            return results[body];
          });
        });
        for (const body of ['bigint', 'circle', 'function', 'header']) {
          const error = await failure(call(body));
          expect(error).toBeInstanceOf(EncodeError);
          expect(error).toBeInstanceOf(RemoteError);
        }
        expect(takeLogs()).toHaveLength(4);
      },
    );
  });

  it.each(['before', 'after'])(
    'channel, an auditor with noReply, started %s the responder, does not spoil the answer',
    async (order) => {
      const { broker, name } = bench();
      const [auditor, responder, caller] = [broker(), broker(), broker()];
      let audited = 0;
      auditor.subscriber({ channel: name(), noReply: true }, () => void audited++);
      responder.subscriber(name(), async (n: number) => {
        // The auditor has said that it will not answer long before this does.
        await eventually(() => expect(audited).toBeGreaterThan(n));
        return n;
      });
      const services = order === 'before' ? [auditor, responder] : [responder, auditor];
      for (const service of services) await service.start();
      for (let n = 0; n < 20; n++) {
        const call = { channel: name(), rpc: true, timeout: TIMEOUT } as const;
        expect(await caller.publish(n, call)).toBe(n);
      }
    },
  );

  it('channel, an auditor with noReply in the same broker does not spoil the answer', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(), broker()];
    service.subscriber({ channel: name(), noReply: true }, () => undefined);
    service.subscriber({ channel: name() }, async (n) => {
      await new Promise(setImmediate);
      return n;
    });
    await service.start();
    for (let n = 0; n < 20; n++) {
      const call = { channel: name(), rpc: true, timeout: TIMEOUT } as const;
      expect(await caller.publish(n, call)).toBe(n);
    }
  });
});
