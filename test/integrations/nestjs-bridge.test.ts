// `nestFormat` and `nestClient` against the packets of Nest's own Redis transport, as Nest 11 and 12 write
// them; test/nest/bridge.test.ts holds them to Nest itself.
import { RedisBroker, RpcError, subscriber, type MessageContext } from 'redstart';
import { nestClient, nestFormat } from 'redstart/nestjs';
import { describe, expect, it } from 'vitest';
import { newBroker, onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

/** A peer that speaks in whole packets. */
const raw = {
  encode: ({ body }: { body: Uint8Array }): Uint8Array => body,
  decode: (frame: Buffer) => ({ headers: { 'content-type': 'application/json' }, body: frame }),
};

class Sums {
  @subscriber({ channel: 'sum', format: nestFormat })
  sum(numbers: number[], ctx: MessageContext) {
    if (numbers.length === 0) throw new RpcError('EMPTY', 'nothing to add', { min: 1 });
    if (numbers.length > 3) throw new RangeError('too many');
    return { sum: numbers.reduce((a, b) => a + b), trace: ctx.message.headers['trace'] ?? null };
  }
}

onBothBackends('the packets of Nest', (bench) => {
  it('are answered as Nest answers them, errors included', async () => {
    const { broker, name } = bench();
    const prefix = name('');
    const service = broker({ prefix });
    const peer = broker({ prefix });
    service.register(new Sums());
    const answers: unknown[] = [];
    // The answer's channel is in the packet's pattern, which has the prefix here.
    const pattern = `${prefix}sum`;
    peer.subscriber({ channel: 'sum.reply', format: raw, noReply: true }, (packet) => {
      answers.push(packet);
    });
    await Promise.all([service.start(), peer.start()]);
    const to = { channel: 'sum' } as const;
    const send = peer.publisher(to, { format: raw });
    await send.publish({ pattern, data: [1, 2], id: 'a', metadata: { trace: 't' } });
    await send.publish({ pattern, data: [], id: 'b' });
    await send.publish({ pattern, data: [1, 2, 3, 4], id: 'c' });
    await send.publish({ pattern, data: [7] }); // an event, which nobody answers
    await expect.poll(() => answers).toHaveLength(3);
    expect(answers).toEqual([
      { id: 'a', response: { sum: 3, trace: 't' }, isDisposed: true },
      {
        id: 'b',
        err: expect.objectContaining({
          status: 'error',
          code: 'EMPTY',
          message: 'nothing to add',
          data: { min: 1 },
        }) as unknown,
        isDisposed: true,
      },
      {
        id: 'c',
        err: expect.objectContaining({ status: 'error', message: 'too many' }) as unknown,
        isDisposed: true,
      },
    ]);
    await service.stop();
    expect(takeLogs()).toMatchObject([{ error: { message: 'too many' } }]);
  });

  it('are sent, and answers of services find their call', async () => {
    const { broker, name } = bench();
    const [pattern, seen] = [name('sum'), [] as unknown[]];
    const service = broker();
    const reply = service.publisher({ channel: `${pattern}.reply` }, { format: raw });
    service.subscriber({ channel: pattern, format: raw }, async (packet) => {
      const { id, data } = packet as { id?: string; data: number };
      seen.push(packet);
      if (id === undefined) return;
      await reply.publish({ id: 'of another client', response: 'wrong', isDisposed: true });
      if (data < 0) await reply.publish({ id, err: { status: 'error', message: 'negative' } });
      else {
        await reply.publish({ id, response: data });
        await reply.publish({ id, response: data * 2, isDisposed: true });
      }
    });
    const caller = broker();
    await Promise.all([service.start(), caller.start()]);
    const client = nestClient(caller);
    expect(await client.call(pattern, 21)).toBe(42);
    await expect(client.call(pattern, -1)).rejects.toMatchObject({
      name: 'RemoteError',
      message: 'negative',
      data: { status: 'error', message: 'negative' },
    });
    expect(await client.emit(pattern, 'an event')).toBe(1);
    await expect.poll(() => seen).toHaveLength(3);
    expect(seen.at(-1)).toEqual({ data: 'an event' });
    await expect(client.call(name('nobody'), 1)).rejects.toMatchObject({ code: 'NO_RESPONDERS' });
  });
});

describe('what the bridge cannot do', () => {
  it('is said', async () => {
    const broker = newBroker('memory://');
    await expect(nestClient(broker).call('x', 1)).rejects.toThrow(
      'the broker has not been started',
    );
    await expect(nestClient(broker).call('x', 1, { timeout: -1 })).rejects.toThrow(/'timeout'/);
    broker.subscriber({ channel: 'silent', format: nestFormat }, () => undefined);
    await broker.start();
    const bytes = broker.publisher({ channel: 'silent' }, { format: nestFormat });
    await expect(bytes.publish(Buffer.from([0xff]))).rejects.toThrow(/carries JSON/);
    const own = new RedisBroker('memory://', { format: nestFormat });
    await expect(own.publish(1, { channel: 'silent', rpc: true })).rejects.toThrow(
      /call it with nestClient/,
    );
    await own.stop();
  });

  it('a service that does not answer is a time-out', async () => {
    const broker = newBroker('memory://');
    broker.subscriber({ channel: 'mute', format: raw, noReply: true }, () => undefined);
    await broker.start();
    await expect(nestClient(broker).call('mute', 1, { timeout: 50 })).rejects.toMatchObject({
      code: 'RPC_TIMEOUT',
      timeout: 50,
    });
  });
});
