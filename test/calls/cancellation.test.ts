import type { MessageContext } from 'redstart';
import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

onBothBackends('cancelling a call', (bench) => {
  it.each(['channel', 'list', 'stream'] as const)(
    'over a %s rejects the caller at once with its reason, and aborts the handler',
    async (kind) => {
      const { broker, name } = bench();
      const address = name();
      const to = { [kind]: address } as { channel: string };
      const service = broker();
      const client = broker();
      let seen: AbortSignal | undefined;
      const source = kind === 'stream' ? { stream: address, group: 'g' } : to;
      service.subscriber(
        source as { channel: string },
        async (_body: unknown, { signal }: MessageContext) => {
          seen = signal;
          await new Promise((resolve) => signal.addEventListener('abort', resolve));
        },
      );
      await service.start();
      const controller = new AbortController();
      const call = client.publish(1, { ...to, rpc: true, signal: controller.signal });
      await eventually(() => seen !== undefined);
      const reason = new Error('changed my mind');
      controller.abort(reason);
      await expect(call).rejects.toBe(reason);
      await eventually(() => seen?.aborted === true);
      expect(client.stats.pendingCalls).toBe(0);
    },
  );

  it('sends nothing where the signal is aborted already', async () => {
    const { broker, name } = bench();
    const list = name();
    const client = broker();
    const reason = new Error('never mind');
    const call = client.publish(1, { list, rpc: true, signal: AbortSignal.abort(reason) });
    await expect(call).rejects.toBe(reason);
    await expect(client.publish('first', { list })).resolves.toBe(1);
  });

  it('reaches a handler that asks for its signal after the caller gave up', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    const client = broker();
    let go: (() => void) | undefined;
    let aborted = false;
    service.subscriber(channel, async (_body, ctx) => {
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      aborted = true;
    });
    await service.start();
    const controller = new AbortController();
    const call = client.request(1, { channel, signal: controller.signal });
    call.catch(() => undefined); // looked at below
    await eventually(() => go !== undefined);
    controller.abort();
    await expect(call).rejects.toMatchObject({ name: 'AbortError' });
    go?.();
    await eventually(() => aborted);
  });

  it('aborts the handler of a caller that is gone', async () => {
    const { broker, name } = bench();
    const channel = name();
    const service = broker();
    const client = broker();
    let started = false;
    let go: (() => void) | undefined;
    let aborted = false;
    service.subscriber(channel, async (_body, ctx) => {
      started = true;
      await new Promise<void>((resolve) => {
        go = resolve;
      });
      await new Promise((resolve) => ctx.signal.addEventListener('abort', resolve));
      aborted = true;
    });
    await service.start();
    const call = client.publish(1, { channel, rpc: true, timeout: null });
    call.catch(() => undefined); // looked at below
    await eventually(() => started);
    await client.stop();
    await expect(call).rejects.toMatchObject({ code: 'BROKER_CLOSED' });
    go?.();
    await eventually(() => aborted);
  });
});
