// One process of one version: compiled with the sources of this version, and with those of an older one. Its
// parent tells it what to do; it answers each order with its result. argv: url, prefix of all names
import { Redis } from 'ioredis';
import { RedisBroker, RpcError } from 'redstart';

const [url = '', prefix = ''] = process.argv.slice(2);
const broker = new RedisBroker(url, { prefix, logger: false, concurrency: 10 });
const client = new Redis(url);

/** The older version has `stream` for `requestMany`. */
const many = ((broker as { requestMany?: unknown }).requestMany ??
  (broker as unknown as { stream: unknown }).stream) as RedisBroker['requestMany'];

const PLACES = {
  channel: { channel: 'channel' },
  list: { list: 'list' },
  reliable: { list: 'reliable' },
  group: { stream: 'group' },
} as const;
/** Where messages are sent and handled. */
export type Place = keyof typeof PLACES;

const SUBSCRIBERS = {
  channel: { channel: 'channel' },
  list: { list: 'list' },
  reliable: { list: 'reliable', reliable: true },
  group: { stream: 'group', group: 'g', claim: { minIdle: 1_000 } },
} as const;

const called: string[] = [];

function answer(body: unknown): unknown {
  if (body === 'refused') throw new RpcError('REFUSED', 'not today', { left: 3 });
  if (body === 'broken') throw new RangeError('out of range');
  return { answered: body };
}

function failing(body: unknown): never {
  throw new RangeError(`no ${String(body)}`);
}

async function errorOf(call: Promise<unknown>): Promise<unknown> {
  const error = await call.then(
    () => ({}),
    (thrown: unknown) => thrown,
  );
  const { name, code, remoteName, message, data } = error as Record<string, unknown>;
  return { name, code, remoteName, message, data };
}

/** What is sent under load, and what became of the calls. */
const load = { isOn: false, sent: [] as string[], failed: [] as string[], done: Promise.resolve() };

async function sendLoad(name: string, places: Place[]): Promise<void> {
  for (let n = 0; load.isOn; n++) {
    const id = `${name}-${n}`;
    for (const place of places) {
      load.sent.push(`${place} ${id}`);
      if (place !== 'list') await broker.publish(id, PLACES[place]);
    }
    const call = { ...PLACES.list, rpc: true, timeout: 30_000 } as const;
    await broker
      .publish(id, call)
      .catch((error: unknown) => load.failed.push(`${id} ${String(error)}`));
  }
}

const ORDERS = {
  /** Answers calls at all places. */
  async serve(places: Place[]) {
    for (const place of places) broker.subscriber(SUBSCRIBERS[place] as never, answer);
    broker.subscriber({ list: 'many' }, async function* (count: number) {
      for (let n = 0; n < count; n++) yield n;
    });
    await broker.start();
  },
  /** Writes down what it handles, for all to see. With 'hang', it never gets done. */
  async work(how: string, places: Place[]) {
    const handle = (place: Place) => async (body: string) => {
      called.push(`${place} ${body}`);
      if (how === 'hang') await new Promise(() => {});
      await new Promise((resolve) => setTimeout(resolve, 2));
      await client.sadd(`${prefix}handled`, `${place} ${body}`);
      return body;
    };
    for (const place of places) broker.subscriber(SUBSCRIBERS[place] as never, handle(place));
    await broker.start();
  },
  /** Gives up what it gets, at the second delivery. */
  async fail() {
    const retry = { maxDeliveries: 2, backoff: 1 };
    for (const place of ['reliable', 'group'] as const) {
      const deadLetter = { stream: `${place}-dead` };
      const options = { ...SUBSCRIBERS[place], ackPolicy: 'nack-on-error', retry, deadLetter };
      broker.subscriber(options as never, failing);
    }
    await broker.start();
  },
  async called() {
    return called;
  },
  async call(place: Place) {
    const to = { ...PLACES[place], timeout: 10_000, headers: { 'x-region': 'eu' } } as const;
    const { body, correlationId } = await broker.request('hello', { ...to, correlationId: 'c-1' });
    return { body, correlationId };
  },
  async refusal(place: Place, body: unknown) {
    return errorOf(broker.publish(body, { ...PLACES[place], rpc: true, timeout: 10_000 }));
  },
  async nobody() {
    return errorOf(broker.publish(1, { channel: 'nobody', rpc: true, timeout: 10_000 }));
  },
  async many(count: number) {
    let sum = 0;
    for await (const n of many.call(broker, count, { list: 'many' } as never)) sum += n as number;
    return sum;
  },
  async gather() {
    const { answers, expected, missing } = await broker.gather('x', {
      channel: 'channel',
      timeout: 10_000,
    });
    return { answers: answers.length, expected, missing: missing.length };
  },
  async publish(place: Place, body: unknown, headers: Record<string, string>) {
    await broker.publish(body, { ...PLACES[place], headers });
  },
  async letters(place: Place) {
    const letters = await broker.deadLetters({ stream: `${place}-dead` }).list();
    return letters.map(({ body, error, deliveries, headers, origin }) => ({
      ...{ body, error, deliveries, origin },
      mark: headers['x-mark'],
    }));
  },
  async redrive(place: Place) {
    return broker.deadLetters({ stream: `${place}-dead` }).redrive();
  },
  async load(name: string, places: Place[]) {
    load.isOn = true;
    load.done = sendLoad(name, places);
  },
  async endLoad() {
    load.isOn = false;
    await load.done;
    return { sent: load.sent, failed: load.failed };
  },
  async stop() {
    await broker.stop();
    client.disconnect();
    process.disconnect();
  },
};

/** What a peer can be told. */
export type Orders = typeof ORDERS;

process.on('message', ({ id, order, args }: { id: number; order: keyof Orders; args: never[] }) => {
  const result = (ORDERS[order] as (...args: unknown[]) => Promise<unknown>)(...args);
  result.then(
    (value) => process.connected && process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: String((error as Error).stack) }),
  );
});
process.once('SIGTERM', () => void ORDERS.stop());
