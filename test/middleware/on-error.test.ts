import {
  DecodeError,
  InvalidMessageError,
  NoMatchingHandlerError,
  RedisRouter,
  Response,
  RpcError,
  onError,
  subscriber,
} from 'redstart';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';

class Problem extends Error {}
class NotFound extends Problem {
  readonly sku: string;
  constructor(sku: string) {
    super(`no ${sku}`);
    this.sku = sku;
  }
}
class NotFoundYet extends NotFound {}

const call = { rpc: true, timeout: 20_000 } as const;

onBothBackends('onError', (bench) => {
  it('what it returns becomes the answer, whole Responses too', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.onError(NotFound, ({ sku }, ctx) => {
      return new Response({ missing: sku, at: ctx.message.source }, { headers: { status: '404' } });
    });
    service.subscriber({ list: name() }, (sku: string) => {
      throw new NotFound(sku);
    });
    service.subscriber({ list: name('later') }, async (sku: string) => {
      await Promise.resolve();
      throw new NotFound(sku);
    });
    await service.start();
    for (const list of [name(), name('later')]) {
      const answer = await service.request('A-1', { list, timeout: 20_000 });
      expect(answer.body).toEqual({ missing: 'A-1', at: { list } });
      expect(answer.headers['status']).toBe('404');
    }
    expect(takeLogs()).toEqual([]); // it was dealt with
  });

  it('the most specific class wins, wherever it was given; of equals the nearest', async () => {
    const { broker, name } = bench();
    const service = broker({ onError: [onError(NotFound, () => 'broker: not found')] });
    service.onError(Error, () => 'broker: error');
    const router = new RedisRouter({ onError: [onError(Problem, () => 'router: problem')] });
    router.onError(Error, () => 'router: error');
    class Service {
      @subscriber({ list: name(), onError: [onError(Problem, () => 'own: problem')] })
      handle(what: string): void {
        if (what === 'yet') throw new NotFoundYet('x');
        throw what === 'problem' ? new Problem() : new TypeError();
      }
    }
    router.register(new Service());
    service.include(router);
    await service.start();
    const to = { list: name(), ...call };
    expect(await service.publish('yet', to)).toBe('broker: not found');
    expect(await service.publish('problem', to)).toBe('own: problem');
    expect(await service.publish('other', to)).toBe('router: error');
  });

  it('leaves other errors, and what is no Error, as they are', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.onError(NotFound, () => 'found');
    service.subscriber({ list: name() }, (what: string) => {
      // oxlint-disable-next-line typescript/only-throw-error -- users do
      if (what === 'text') throw 'text';
      throw new RangeError('out of range');
    });
    await service.start();
    for (const [what, message] of [
      ['range', 'out of range'],
      ['text', 'text'],
    ] as const) {
      const answer = service.publish(what, { list: name(), ...call });
      await expect(answer).rejects.toMatchObject({ message: expect.stringContaining(message) });
    }
    expect(takeLogs()).toHaveLength(2);
  });

  it('what it throws is the failure instead, without a second handler', async () => {
    const { broker, name } = bench();
    const service = broker();
    service.onError(NotFound, ({ sku }) => {
      throw new RpcError('NOT_FOUND', 'nothing there', { sku });
    });
    service.onError(RpcError, () => 'never');
    service.onError(TypeError, async () => Promise.reject(new RangeError('later')));
    service.subscriber({ list: name() }, (sku: string) => {
      throw sku === 'type' ? new TypeError() : new NotFound(sku);
    });
    await service.start();
    const to = { list: name(), ...call };
    await expect(service.publish('A-1', to)).rejects.toMatchObject({
      code: 'NOT_FOUND',
      data: { sku: 'A-1' },
    });
    await expect(service.publish('type', to)).rejects.toMatchObject({ remoteName: 'RangeError' });
    expect(takeLogs()).toHaveLength(1);
  });

  it('answers for messages that cannot be read, and for those that no handler takes', async () => {
    const { broker, name } = bench();
    const service = broker();
    const seen: unknown[] = [];
    service.onError(DecodeError, (_, ctx) => `undecodable: ${String(ctx.message.raw)}`);
    service.onError(InvalidMessageError, ({ issues }) => issues.map(({ path }) => path));
    service.onError(NoMatchingHandlerError, () => 'nobody');
    const schema = z.object({ n: z.number() });
    service.subscriber({ list: name('one'), schema }, (body) => void seen.push(body));
    service.subscriber({ list: name('all'), schema, batch: true }, (bodies) => {
      seen.push(bodies);
      return bodies.map(({ n }) => n);
    });
    service.subscriber({ list: name('filtered'), filter: () => false }, () => 'taken');
    await service.start();
    const headers = { 'content-type': 'application/json' };
    for (const list of [name('one'), name('all')]) {
      expect(await service.publish({ n: 'x' }, { list, ...call })).toEqual([['n']]);
      const answer = await service.request(Buffer.from('{'), { list, headers, timeout: 20_000 });
      expect(answer.body).toContain('undecodable');
    }
    expect(await service.publish(1, { list: name('filtered'), ...call })).toBe('nobody');
    expect(seen).toEqual([]);
    expect(takeLogs()).toEqual([]);
  });

  it('answers a batch that failed, once for all', async () => {
    const { broker, name } = bench();
    const service = broker();
    let times = 0;
    service.onError(NotFound, (_, ctx) => {
      times++;
      return `${ctx.messages.length} failed`;
    });
    const list = name();
    service.subscriber({ list, batch: true }, () => {
      throw new NotFound('x');
    });
    const calls = [1, 2].map((n) => service.publish(n, { list, ...call }));
    await eventually(() => expect(service.stats.pendingCalls).toBe(2));
    await service.start();
    const answers = await Promise.all(calls);
    expect(answers.every((answer) => answer === `${2 / times} failed`)).toBe(true);
  });

  it('does not answer for what was delivered too often: that is buried', async () => {
    const { broker, name } = bench();
    const service = broker();
    const jobs = { stream: name(), group: 'g', claim: { minIdle: 100 } };
    await service.publish('deadly', { stream: name() });
    const dying = await service.subscribe(jobs);
    expect((await dying.next())?.body).toBe('deadly');
    await dying.close();
    const client = broker();
    client.onError(Error, () => 'fine');
    const deadLetter = { stream: name('dead') };
    client.subscriber({ ...jobs, retry: { maxDeliveries: 1 }, deadLetter }, () => 'handled');
    await client.start();
    await eventually(async () => {
      expect(await client.deadLetters(deadLetter).list()).toMatchObject([{ body: 'deadly' }]);
    });
    expect(takeLogs()).toHaveLength(1);
  });

  it('has the message acknowledged, and its result sent on and checked like any other', async () => {
    const { broker, name } = bench();
    const service = broker({ ackPolicy: 'nack-on-error' });
    service.onError(NotFound, ({ sku }) => (sku === 'bad' ? 7 : `no ${sku}`));
    const to = name('stream');
    service.subscriber({ stream: to, group: 'g', reply: z.string() }, (sku: string) => {
      throw new NotFound(sku);
    });
    await service.start();
    expect(await service.publish('A-1', { stream: to, ...call })).toBe('no A-1');
    await eventually(async () => {
      expect((await service.health()).subscribers[0]).toMatchObject({ pending: 0 });
    });
  });
});
