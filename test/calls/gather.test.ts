import { expect, it } from 'vitest';
import { onBothBackends } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';

onBothBackends('gathering', (bench) => {
  it('resolves with the answers of all responders as soon as the last is in', async () => {
    const { broker, name } = bench();
    const channel = name();
    const client = broker();
    await Promise.all(
      ['a', 'b', 'c'].map(async (answer) => {
        const service = broker();
        service.subscriber(channel, () => answer);
        await service.start();
      }),
    );
    const started = performance.now();
    const gathered = await client.gather('?', { channel, timeout: 50_000 });
    expect(new Set(gathered.answers.map(({ body }) => body))).toEqual(new Set(['a', 'b', 'c']));
    expect(gathered).toMatchObject({ errors: [], expected: 3, missing: [] });
    expect(performance.now() - started).toBeLessThan(25_000); // and not after 50 s
    expect(client.stats.pendingCalls).toBe(0);
  });

  it('gives what came in time, and names who is missing', async () => {
    const { broker, name } = bench();
    const channel = name();
    const [quick, slow, client] = [broker(), broker(), broker()];
    const ends: (() => void)[] = [];
    quick.subscriber(channel, () => 'quick');
    slow.subscriber(channel, () => new Promise<void>((resolve) => void ends.push(resolve)));
    await Promise.all([quick.start(), slow.start()]);
    await client.connect();
    // A busy machine needs longer for the quick one's answer.
    let timeout = 150;
    let gathered = await client.gather('?', { channel, timeout });
    while (gathered.answers.length === 0 && timeout < 5_000)
      gathered = await client.gather('?', { channel, timeout: (timeout *= 2) });
    for (const end of ends) end();
    expect(gathered.answers.map(({ body }) => body)).toEqual(['quick']);
    expect(gathered.expected).toBe(2);
    expect(gathered.missing).toEqual([expect.stringContaining(`:${process.pid}`)]);
  });

  it('counts failures apart, and stops at max', async () => {
    const { broker, name } = bench();
    const channel = name();
    const [good, bad, client] = [broker(), broker(), broker()];
    good.subscriber(channel, () => 'fine');
    bad.subscriber(channel, () => {
      throw new Error('broken');
    });
    await Promise.all([good.start(), bad.start()]);
    const all = await client.gather('?', { channel, timeout: 20_000 });
    expect(all.answers).toHaveLength(1);
    expect(all.errors).toMatchObject([{ message: 'broken' }]);
    const one = await client.gather('?', { channel, timeout: 20_000, max: 1 });
    expect(one.answers).toHaveLength(1);
    await bad.stop(); // the second failure is logged by now, if there was one
    expect(takeLogs().length).toBeGreaterThanOrEqual(1);
  });

  it('gets one answer of a process of which several subscribers listen, and waits for the others', async () => {
    const { broker, name } = bench();
    const channel = name('stock');
    const [twice, both, slow, client] = [broker(), broker(), broker(), broker()];
    let handled = 0;
    for (const answer of ['first', 'second'])
      twice.subscriber(channel, () => {
        handled++;
        return answer;
      });
    // PUBLISH counts the channel and the pattern of a connection.
    both.subscriber(channel, () => 'exact');
    both.subscriber(name('{what}'), () => 'template');
    slow.subscriber(channel, async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return 'slow';
    });
    await Promise.all([twice.start(), both.start(), slow.start()]);
    const { answers, missing } = await client.gather('?', { channel, timeout: 10_000 });
    const bodies = answers.map(({ body }) => String(body)).toSorted();
    expect(bodies).toEqual(['exact', 'first', 'slow', 'template']);
    expect(missing).toEqual([]);
    expect(handled).toBe(2);
  });

  it('does not wait for handlers that never answer, beside others that do', async () => {
    const { broker, name } = bench();
    const channel = name('stock');
    const [service, client] = [broker(), broker()];
    let heard = 0;
    for (let n = 0; n < 2; n++)
      service.subscriber(channel, { noReply: true }, () => {
        heard++;
      });
    service.subscriber(name('{what}'), () => 'template');
    await service.start();
    const { answers, missing } = await client.gather('?', { channel, timeout: 20_000 });
    expect(answers.map(({ body }) => body)).toEqual(['template']);
    expect(missing).toEqual([]);
    expect(heard).toBe(2);
  });

  it('rejects and leaves nothing where its signal has aborted before', async () => {
    const { broker, name } = bench();
    const channel = name();
    const caller = broker();
    const service = broker();
    const handled: unknown[] = [];
    service.subscriber(channel, (body) => handled.push(body));
    await service.start();
    const reason = new Error('given up before');
    const signal = AbortSignal.abort(reason);
    await expect(caller.gather(1, { channel, timeout: 20_000, signal })).rejects.toBe(reason);
    expect(caller.stats.pendingCalls).toBe(0);
    // What was asked before this call would have arrived before it.
    await caller.publish(2, { channel, rpc: true, timeout: 20_000 });
    expect(handled).toEqual([2]);
  });

  it('resolves at once with nothing where nobody listens', async () => {
    const { broker, name } = bench();
    const gathered = await broker().gather('?', { channel: name(), timeout: 20_000 });
    expect(gathered).toEqual({ answers: [], errors: [], expected: 0, missing: [] });
  });
});
