import { MemoryTransport } from '../../src/transport/memory/memory-transport.ts';
import { unique } from '../support/redis.ts';
import { transportContract } from './transport.contract.ts';

transportContract('memory', () => {
  const url = `memory://${unique()}`;
  // Holds the data while the test looks at it, as a server would.
  const keeper = new MemoryTransport(url);
  void keeper.connect();
  return {
    make: (timings) => new MemoryTransport(url, timings && { timings }),
    name: () => unique(),
    async pending(stream, group) {
      const entries = keeper.server.stream(stream).groups.get(group)?.pending ?? [];
      return [...entries].map(([id, { consumer, count }]) => ({ id, consumer, count }));
    },
    addForeign: async (stream, fields) =>
      keeper.server.stream(stream).add(fields.map((field) => Buffer.from(field))),
    async deleteOldest(name, count) {
      const stream = keeper.server.stream(name);
      stream.trim(stream.length - count);
    },
    close: () => keeper.close(),
  };
});
