// What the caller of a streamed answer tells its responder of the items that were taken.
import { expect, it } from 'vitest';
import { defaultCodec } from '../../src/message/codec.ts';
import { binaryFormat, openFrame } from '../../src/message/format.ts';
import { ReceivedMessage } from '../../src/message/message.ts';
import { StreamCall, type StreamCommand } from '../../src/rpc/caller/stream-call.ts';
import { rawFrame } from '../support/frames.ts';

it('a responder that asks whether its caller still waits is told again what was taken: that may have been lost', async () => {
  const credits: [string, number][] = [];
  const host = {
    send: async () => undefined,
    credit: (responder: string, consumed: number) => void credits.push([responder, consumed]),
    cancel: () => undefined,
    forget: () => undefined,
  };
  const command = {
    timeout: null,
    itemTimeout: null,
    window: 64,
    encoder: { codec: defaultCodec },
  };
  const stream = new StreamCall(command as unknown as StreamCommand, host);
  const first = stream.next();
  stream.taken('responder');
  stream.item(item(1, 5 * 2 ** 20));
  expect(await first).toMatchObject({ done: false });
  expect(credits).toEqual([['responder', 1]]);
  // Nothing more has been taken, and the responder asks since it waits.
  stream.taken('responder');
  expect(credits).toEqual([
    ['responder', 1],
    ['responder', 1],
  ]);
  await stream.return();
  stream.taken('responder');
  expect(credits).toHaveLength(2);
});

function item(sequence: number, bytes: number): ReceivedMessage {
  const headers = { 'redstart-from': 'responder', 'redstart-sequence': String(sequence) };
  const raw = rawFrame(headers, JSON.stringify('x'.repeat(bytes)));
  return new ReceivedMessage(raw, openFrame(raw, binaryFormat), { channel: 'inbox' });
}
