// BullMQ, a job queue on lists and scripts: compared where messages are taken from a list.
import { Queue, Worker } from 'bullmq';
import { DELAY } from './redstart.mjs';

/** How a job is added: its options by its number. Deduplicated for as long as redstart remembers an id. */
const WAYS = {
  plain: () => ({}),
  id: (n) => ({ deduplication: { id: `job-${n}`, ttl: 600_000 } }),
  delay: () => ({ delay: DELAY }),
};
const REMOVED = { removeOnComplete: true, removeOnFail: true };

/** Jobs added in one call. */
const CHUNK = 1_000;

const queueName = (target) => target.replaceAll(':', '-');
const connectionOf = (url) => {
  const { hostname, port, username, password } = new URL(url);
  const connection = { host: hostname, port: Number(port || 6379) };
  if (password) Object.assign(connection, { username, password });
  return connection;
};

export const bullmq = {
  name: 'bullmq',
  label: 'BullMQ',

  /** Its jobs are more than a frame in a list, so it fills its own queue. */
  async fill(url, target, body, count) {
    const queue = new Queue(queueName(target), { connection: connectionOf(url) });
    const chunk = Array.from({ length: CHUNK }, () => ({ name: 'job', data: body, opts: REMOVED }));
    for (let done = 0; done < count; done += CHUNK)
      await queue.addBulk(chunk.slice(0, Math.min(CHUNK, count - done)));
    await queue.close();
  },

  async consume(url, { target }, handle) {
    const connection = { ...connectionOf(url), maxRetriesPerRequest: null };
    const work = async ({ data }) => {
      if (data.ok) handle(1);
    };
    const worker = new Worker(queueName(target), work, { connection, concurrency: 64 });
    worker.on('error', (error) => console.error(`bullmq: ${error.message}`));
    await worker.waitUntilReady();
    return async () => {
      await worker.close(true);
      const queue = new Queue(queueName(target), { connection });
      await queue.obliterate({ force: true });
      await queue.close();
    };
  },

  async deliver(url, { target, how }, handle) {
    const queue = new Queue(queueName(target), { connection: connectionOf(url) });
    const stop = await this.consume(url, { target }, handle);
    return {
      send: (body, n) => queue.add('job', body, { ...REMOVED, ...WAYS[how](n) }),
      close: async () => {
        await queue.close();
        await stop();
      },
    };
  },
};
