// What only memory's readers have: on Redis the server keeps the queue of those who wait.
import { expect, it, onTestFinished } from 'vitest';
import { MemoryTransport } from '../../src/transport/memory/memory-transport.ts';
import { reliableList } from '../contract/harness.ts';
import { unique } from '../support/redis.ts';

it('a reader that got a nacked item does not keep the next item from the reader behind it', async () => {
  const transport = new MemoryTransport(`memory://${unique()}`);
  await transport.connect();
  onTestFinished(() => transport.close());
  const to = { kind: 'list', name: 'l' } as const;
  const [first, second] = [
    await transport.open(reliableList('l'), () => undefined),
    await transport.open(reliableList('l'), () => undefined),
  ];
  await transport.send(to, Buffer.from('a'));
  const [delivery] = await first.read(1);
  first.nack(delivery as never, 5);
  const again = first.read(1);
  const next = second.read(1);
  expect((await again).map(({ count }) => count)).toEqual([2]);
  await transport.send(to, Buffer.from('b'));
  expect((await next).map(({ frame }) => String(frame))).toEqual(['b']);
});
