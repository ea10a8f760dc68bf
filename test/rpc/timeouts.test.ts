import {
  BrokerClosedError,
  NoRespondersError,
  OverloadedError,
  RpcTimeoutError,
  type BrokerOptions,
  type RedisBroker,
} from 'redstart';
import { describe, expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';

/** A handler that answers when it is told to. */
class Gate {
  readonly #waiting = new Map<unknown, () => void>();
  #isOpen = false;
  /** The correlation id of the last message. */
  lastId: string | undefined;

  subscribe(service: RedisBroker, to: string | { list: string }): void {
    const address = typeof to === 'string' ? { channel: to } : to;
    service.subscriber(address, { concurrency: 1_000 }, async (body: unknown, ctx) => {
      this.lastId = ctx.message.correlationId;
      await new Promise<void>((resolve) => {
        this.#waiting.set(body, resolve);
        if (this.#isOpen) resolve();
      });
      return body;
    });
  }

  hasNow(body: unknown): boolean {
    return this.#waiting.has(body);
  }

  /** Waits until the handler has this message. */
  async has(body: unknown): Promise<void> {
    await eventually(() => this.hasNow(body));
  }

  answer(body: unknown): void {
    this.#waiting.get(body)?.();
    this.#waiting.delete(body);
  }

  /** Has everything answered, also what is still to come. */
  open(): void {
    this.#isOpen = true;
    for (const body of this.#waiting.keys()) this.answer(body);
  }
}

const reasonOf = (call: Promise<unknown>): Promise<unknown> =>
  call.then(
    (value) => new Error(`there was an answer: ${String(value)}`),
    (reason: unknown) => reason,
  );

onBothBackends('a time-out', (bench) => {
  it.each(['channel', 'list', 'stream'] as const)(
    'says where the call went (%s), how long it waited, and its correlation id',
    async (kind) => {
      const { broker, name } = bench();
      const [service, caller] = [broker(), broker()];
      const address = { [kind]: name('slow') } as { list: string };
      const gate = new Gate();
      gate.subscribe(service, address);
      await service.start();
      const began = performance.now();
      const options = { rpc: true, timeout: 150, correlationId: 'order-7' } as const;
      const error = await reasonOf(caller.publish(1, { ...address, ...options }));
      const took = performance.now() - began;
      expect(error).toBeInstanceOf(RpcTimeoutError);
      expect(error).toMatchObject({ code: 'RPC_TIMEOUT', timeout: 150, correlationId: 'order-7' });
      for (const text of [(error as RpcTimeoutError).address, (error as RpcTimeoutError).message]) {
        expect(text).toContain(kind);
        expect(text).toContain(name('slow'));
      }
      expect((error as RpcTimeoutError).message).toMatch(/150 ms.*order-7/);
      expect(took).toBeGreaterThan(140);
      expect(took).toBeLessThan(10_000);
      expect(caller.stats.pendingCalls).toBe(0);
      gate.open();
    },
  );

  it('names the correlation id that was made up where the caller gave none', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(), broker()];
    const gate = new Gate();
    gate.subscribe(service, name());
    await service.start();
    // On a busy machine its time may be over before the handler begins: then once more.
    await eventually(async () => {
      const call = caller.request(1, { channel: name(), timeout: 500 });
      const error = (await reasonOf(call)) as RpcTimeoutError;
      expect(error).toBeInstanceOf(RpcTimeoutError);
      expect(gate.lastId).toBeDefined();
      expect(error.correlationId).toBe(gate.lastId);
    });
    gate.open();
  });

  it('is 30 s where nobody says, the broker’s where it says, the call’s where it says', async () => {
    const { broker, name } = bench();
    const [plain, quick] = [broker(), broker({ rpc: { timeout: 100 } })];
    const service = broker();
    const gate = new Gate();
    gate.subscribe(service, name());
    await service.start();
    const channel = name();
    const patient = plain.publish('default', { channel, rpc: true });
    const own = quick.publish('own', { channel, rpc: true, timeout: 20_000 });
    const impatient = await reasonOf(quick.publish('broker', { channel, rpc: true }));
    expect(impatient).toMatchObject({ code: 'RPC_TIMEOUT', timeout: 100 });
    gate.open();
    expect(await Promise.all([patient, own])).toEqual(['default', 'own']);
  });

  it('of null waits past the time-outs of others', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(), broker({ rpc: { timeout: 50 } })];
    const gate = new Gate();
    gate.subscribe(service, name());
    await service.start();
    const waiting = caller.publish('for ever', { channel: name(), rpc: true, timeout: null });
    await gate.has('for ever');
    for (const n of [1, 2]) {
      const other = await reasonOf(caller.publish(n, { channel: name(), rpc: true }));
      expect(other).toBeInstanceOf(RpcTimeoutError);
    }
    expect(caller.stats.pendingCalls).toBe(1);
    gate.open();
    expect(await waiting).toBe('for ever');
  });

  it('of null as the broker’s default waits, too', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(), broker({ rpc: { timeout: null } })];
    service.subscriber(name(), (body) => body);
    await service.start();
    expect(await caller.publish('x', { channel: name(), rpc: true })).toBe('x');
  });

  it('of 0 ends the call without an answer', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(), broker()];
    service.subscriber(name(), async (body) => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return body;
    });
    await service.start();
    const error = await reasonOf(caller.publish(1, { channel: name(), rpc: true, timeout: 0 }));
    expect(error).toBeInstanceOf(RpcTimeoutError);
    expect(error).toMatchObject({ timeout: 0 });
    expect(caller.stats.pendingCalls).toBe(0);
  });
});

/** Inboxes of their own: services of other tests that reconnect have calls repeated, and repeated answers are late. */
const own = (name: (suffix: string) => string): BrokerOptions => ({
  rpc: { inboxPrefix: `${name('inbox')}:` },
});

onBothBackends('a late answer', (bench) => {
  it('is counted and reaches no other call, also under the same correlation id', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(own(name)), broker(own(name))];
    const gate = new Gate();
    gate.subscribe(service, name());
    await service.start();
    const call = { channel: name(), rpc: true, correlationId: 'shared' } as const;
    // On a busy machine its time may be over before the handler begins: then another one.
    let late = '';
    for (let n = 0; !gate.hasNow(late); n++) {
      late = `late ${n}`;
      const ended = await reasonOf(caller.publish(late, { ...call, timeout: 500 }));
      expect(ended).toBeInstanceOf(RpcTimeoutError);
    }
    const next = caller.publish('next', { ...call, timeout: 20_000 });
    await gate.has('next');
    expect(caller.stats.lateAnswers).toBe(0);
    gate.answer(late);
    await eventually(() => expect(caller.stats.lateAnswers).toBe(1));
    expect(caller.stats.pendingCalls).toBe(1);
    gate.answer('next');
    expect(await next).toBe('next');
    expect(caller.stats).toMatchObject({ pendingCalls: 0, lateAnswers: 1 });
    gate.open();
  });

  it('is the second of two responders’: the first one wins', async () => {
    const { broker, name } = bench();
    const [slow, quick, caller] = [1, 2, 3].map(() => broker(own(name))) as [
      RedisBroker,
      RedisBroker,
      RedisBroker,
    ];
    const gate = new Gate();
    gate.subscribe(slow, name());
    quick.subscriber(name(), () => 'quick');
    await Promise.all([slow.start(), quick.start()]);
    const call = { channel: name(), rpc: true, timeout: 10_000 } as const;
    expect(await caller.publish('slow', call)).toBe('quick');
    await gate.has('slow');
    gate.answer('slow');
    await eventually(() => expect(caller.stats.lateAnswers).toBe(1));
    expect(caller.stats.pendingCalls).toBe(0);
  });
});

onBothBackends('a call', (bench) => {
  it('to a channel that nobody is subscribed to ends with NoRespondersError at once', async () => {
    const { broker, name } = bench();
    const caller = broker();
    const began = performance.now();
    const call = { channel: name('empty'), timeout: null };
    const errors = await Promise.all([
      reasonOf(caller.request(1, call)),
      reasonOf(caller.publish(1, { ...call, rpc: true })),
    ]);
    for (const error of errors) {
      expect(error).toBeInstanceOf(NoRespondersError);
      expect((error as NoRespondersError).address).toContain(name('empty'));
    }
    expect(performance.now() - began).toBeLessThan(10_000);
    expect(caller.stats.pendingCalls).toBe(0);
  });

  it('past maxPending ends with OverloadedError, and nothing is sent', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(), broker({ rpc: { maxPending: 2 } })];
    const gate = new Gate();
    gate.subscribe(service, name());
    await service.start();
    const call = { channel: name(), rpc: true, timeout: 10_000 } as const;
    const [one, two] = [caller.publish(1, call), caller.publish(2, call)];
    await Promise.all([gate.has(1), gate.has(2)]);
    const refused = await reasonOf(caller.publish(3, { list: name('list'), rpc: true }));
    expect(refused).toBeInstanceOf(OverloadedError);
    expect((refused as Error).message).toMatch(/maxPending/);
    expect(await caller.publish('first', { list: name('list') })).toBe(1);
    gate.answer(1);
    expect(await one).toBe(1);
    const three = caller.publish(3, call);
    await gate.has(3);
    gate.answer(3);
    gate.answer(2);
    expect(await Promise.all([two, three])).toEqual([2, 3]);
  });

  describe.each(['before', 'after'])('that waits when the broker stops', (when) => {
    it(`ends with BrokerClosedError (timeout: null, stopped ${when} the request arrived)`, async () => {
      const { broker, name } = bench();
      const [service, caller] = [broker(), broker()];
      const gate = new Gate();
      gate.subscribe(service, name());
      await service.start();
      await caller.connect();
      const call = { channel: name(), rpc: true, timeout: null } as const;
      const waiting = Promise.all([1, 2, 3].map((n) => reasonOf(caller.publish(n, call))));
      if (when === 'after') await Promise.all([1, 2, 3].map((n) => gate.has(n)));
      await caller.stop();
      for (const error of await waiting) {
        expect(error).toBeInstanceOf(BrokerClosedError);
        expect((error as BrokerClosedError).code).toBe('BROKER_CLOSED');
      }
      expect(caller.stats.pendingCalls).toBe(0);
      gate.open();
    });
  });

  it('after stop ends with BrokerClosedError, and so does a publish', async () => {
    const { broker, name } = bench();
    const caller = broker();
    await caller.connect();
    await caller.stop();
    const call = reasonOf(caller.publish(1, { channel: name(), rpc: true, timeout: null }));
    expect(await call).toBeInstanceOf(BrokerClosedError);
    expect(await reasonOf(caller.publish(1, name()))).toBeInstanceOf(BrokerClosedError);
  });

  it('leaves nothing pending, however it ends', async () => {
    const { broker, name } = bench();
    const [service, caller] = [broker(), broker()];
    service.subscriber({ channel: name(), concurrency: 100 }, async (n: number) => {
      if (n % 3 === 0) await new Promise((resolve) => setTimeout(resolve, 300));
      return n;
    });
    await service.start();
    const results = await Promise.allSettled(
      Array.from({ length: 300 }, (_, n) => {
        const channel = n % 3 === 1 ? name() : name(n % 3 === 0 ? 'x' : 'nobody');
        return caller.publish(n, { channel, rpc: true, timeout: n % 3 === 0 ? 100 : 30_000 });
      }),
    );
    const ended = results.map((result) =>
      result.status === 'fulfilled' ? 'value' : (result.reason as { code: string }).code,
    );
    for (const n of ended.keys()) {
      expect(ended[n]).toBe(['RPC_TIMEOUT', 'value', 'NO_RESPONDERS'][n % 3]);
    }
    expect(caller.stats.pendingCalls).toBe(0);
  });
});
