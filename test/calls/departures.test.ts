// A caller that leaves after the handler has read its signal.
import { CancelledError, RedisBroker, type MessageContext } from 'redstart';
import { testBroker } from 'redstart/testing';
import { describe, expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { collect } from '../support/collect.ts';
import { eventually } from '../support/eventually.ts';
import { testLogger } from '../support/logs.ts';

/** A handler that reads its signal at once and waits for it. */
class Waiting {
  signal: AbortSignal | undefined;

  readonly handle = async (_body: unknown, { signal }: MessageContext): Promise<string> => {
    this.signal = signal;
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    return 'aborted';
  };
}

onBothBackends('a handler that has read its signal is aborted', (bench) => {
  it.each(['channel', 'list', 'reliable list', 'stream', 'many', 'gather'] as const)(
    'when the broker of its caller stops (%s)',
    async (how) => {
      const { broker, name } = bench();
      const [service, caller, waiting] = [broker(), broker(), new Waiting()];
      const address = name();
      const list = { list: address };
      const from = {
        channel: { channel: address },
        gather: { channel: address },
        list,
        many: list,
        'reliable list': { list: address, reliable: true },
        stream: { stream: address, group: 'g' },
      }[how] as { list: string };
      service.subscriber(from, waiting.handle);
      const echo = { list: name('echo'), rpc: true } as const;
      service.subscriber({ list: echo.list }, (body) => body);
      const [first, cancelled] = [{ list: name('first'), rpc: true } as const, new Waiting()];
      service.subscriber({ list: first.list }, cancelled.handle);
      await service.start();
      // A call that is cancelled: from now on the notices of the service come in the order of its answers.
      const controller = new AbortController();
      caller.publish(1, { ...first, signal: controller.signal }).catch(() => undefined);
      await eventually(() => cancelled.signal !== undefined);
      controller.abort();
      await eventually(() => cancelled.signal?.aborted === true);
      const call = {
        channel: () => caller.publish(1, { channel: address, rpc: true, timeout: null }),
        list: () => caller.publish(1, { ...list, rpc: true, timeout: null }),
        'reliable list': () => caller.publish(1, { ...list, rpc: true, timeout: null }),
        stream: () => caller.publish(1, { stream: address, rpc: true, timeout: null }),
        many: () => collect(caller.requestMany(1, list)),
        gather: () => caller.gather(1, { channel: address, timeout: null }),
      }[how]();
      call.catch(() => undefined); // looked at below
      await eventually(() => waiting.signal !== undefined);
      await caller.publish('after the notice', echo);
      await caller.stop();
      await expect(call).rejects.toMatchObject({ code: 'BROKER_CLOSED' });
      await eventually(() => waiting.signal?.aborted === true);
      expect(waiting.signal?.reason).toBeInstanceOf(CancelledError);
    },
  );
});

describe('a caller that was there when its handler read the signal', () => {
  it('is gone when it was away for twelve seconds, also for a call without a deadline', async () => {
    const [service, caller, waiting] = [memory(), memory(), new Waiting()];
    service.subscriber({ list: 'work' }, waiting.handle);
    await using test = await testBroker(service, caller);
    const call = caller.publish(1, { list: 'work', rpc: true, timeout: null });
    call.catch(() => undefined); // it ends with the broker
    await eventually(() => waiting.signal !== undefined);
    await test.advance(60_000);
    expect(waiting.signal?.aborted).toBe(false);
    test.disconnect(caller);
    await test.advance(9_000);
    expect(waiting.signal?.aborted).toBe(false);
    await test.advance(3_000);
    expect(waiting.signal?.aborted).toBe(true);
    expect(waiting.signal?.reason).toMatchObject({ message: 'the caller is gone' });
  });

  it('is not gone when it was away for nine seconds, however often: its answer arrives', async () => {
    const [service, caller] = [memory(), memory()];
    let go: (() => void) | undefined;
    service.subscriber({ list: 'read' }, async (_body, { signal }) => {
      expect(signal.aborted).toBe(false);
      await new Promise<void>((resolve) => (go = resolve));
      return signal.aborted;
    });
    await using test = await testBroker(service, caller);
    const call = caller.publish(1, { list: 'read', rpc: true, timeout: null });
    await eventually(() => go !== undefined);
    for (let times = 0; times < 3; times++) {
      test.disconnect(caller);
      await test.advance(9_000);
      await test.reconnect(caller);
      await test.advance(3_000);
    }
    go?.();
    expect(await call).toBe(false);
  });

  it('is not gone when both were away and it comes back five seconds after its responder', async () => {
    const [service, caller] = [memory(), memory()];
    let go: (() => void) | undefined;
    service.subscriber({ list: 'work' }, async (_body, { signal }) => {
      expect(signal.aborted).toBe(false);
      await new Promise<void>((resolve) => (go = resolve));
      return signal.aborted;
    });
    await using test = await testBroker(service, caller);
    const call = caller.publish(1, { list: 'work', rpc: true, timeout: null });
    await eventually(() => go !== undefined);
    test.disconnect(caller);
    test.disconnect(service);
    await test.advance(10_000);
    await test.reconnect(service);
    await test.advance(5_000);
    await test.reconnect(caller);
    await test.advance(60_000);
    go?.();
    expect(await call).toBe(false);
  });
});

function memory(): RedisBroker {
  return new RedisBroker('memory://departures', { logger: testLogger });
}
