import { expect, it, vi, onTestFinished } from 'vitest';
import { KeptAnswers } from '../../src/rpc/responder/kept-answers.ts';
import type { Inbox } from '../../src/rpc/inbox.ts';
import type { Transport } from '../../src/transport/transport.ts';

const MIB = 2 ** 20;

it('answers that reach nobody are kept up to 64 MiB a minute, however many ask', async () => {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  let kept = 0;
  const transport = {
    keep: (_key: string, frame: Uint8Array) => Promise.resolve((kept += frame.length)),
    timed: { clock: { now: () => Date.now() } },
  };
  const inbox = { homeOf: (name: string) => name, notify: () => Promise.resolve(0) };
  const answers = new KeptAnswers(transport as object as Transport, inbox as object as Inbox);
  const keep = (n: number): Promise<void> =>
    answers.keep({ replyTo: `inbox ${n}`, call: 'c', deadline: undefined }, new Uint8Array(MIB));
  for (let n = 0; n < 64; n++) await keep(n);
  await expect(keep(64)).rejects.toThrow('reached nobody within a minute');
  expect(kept).toBe(64 * MIB);
  vi.advanceTimersByTime(61_000);
  await keep(65);
  expect(kept).toBe(65 * MIB);
});
