import { expect, it } from 'vitest';
import { GapChannel } from '../../src/rpc/gap-channel.ts';
import type { Transport } from '../../src/transport/transport.ts';
import { rawFrame } from '../support/frames.ts';

it('a question for lost answers is read up to 64 KiB, and dropped beyond', () => {
  let hear: ((frame: Buffer) => void) | undefined;
  const listen = async (_: string, receive: (frame: Buffer) => void): Promise<void> => {
    hear = receive;
  };
  const channel = new GapChannel({ listen } as unknown as Transport, 'inbox:', () => undefined);
  const asked: [inbox: string, length: number][] = [];
  channel.route({
    lost: (inbox, calls) => asked.push([inbox, calls.length]),
    gap: () => undefined,
    restored: () => undefined,
  });
  channel.listen();
  for (const length of [64 * 1024, 64 * 1024 + 1, 24])
    hear?.(rawFrame({ 'redstart-status': 'lost', 'redstart-from': 'me' }, 'x'.repeat(length)));
  expect(asked).toEqual([
    ['me', 64 * 1024],
    ['me', 24],
  ]);
});
