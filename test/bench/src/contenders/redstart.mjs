// redstart as its users run it: no option is set, but those that a variant is about.
import { encode } from '../envelope.mjs';
import { RedisBroker, loadZod } from '../redstart.mjs';

const at = (kind, name) => (kind === 'stream' ? { stream: name, group: 'g' } : { [kind]: name });
const echo = (body) => body;

/** Milliseconds that delayed messages wait. */
export const DELAY = 20;
/** How a message is sent: its options by its number. */
const WAYS = {
  plain: () => ({}),
  id: (n) => ({ id: `job-${n}` }),
  delay: () => ({ delay: DELAY }),
  key: (n) => ({ key: `customer-${n % 64}` }),
};

/** `brokerOptions` and `options` of its subscribers are made in the process that uses them; `watch` is given each broker that calls or answers. */
export function variant({
  name,
  label,
  call = {},
  brokerOptions = () => ({}),
  options = () => ({}),
  watch = async () => undefined,
}) {
  return {
    name,
    label,

    /** `idle`: subscribers beside those that answer, for channels that nobody publishes to. */
    async serve(url, names, idle = {}) {
      const broker = new RedisBroker(url, brokerOptions());
      await watch(broker);
      for (const [kind, target] of Object.entries(names))
        broker.subscriber(at(kind, target), options(), echo);
      for (let i = 0; i < (idle.channels ?? 0); i++)
        broker.subscriber(`${names.channel}:idle:${i}`, echo);
      for (let i = 0; i < (idle.patterns ?? 0); i++)
        broker.subscriber({ channel: `${names.channel}:idle:${i}:*`, pattern: true }, echo);
      await broker.start();
      return () => broker.stop();
    },

    async connect(url, names) {
      const broker = new RedisBroker(url);
      await watch(broker);
      await broker.connect();
      const to = Object.fromEntries(
        Object.entries(names).map(([kind, target]) => [
          kind,
          { [kind]: target, rpc: true, ...call },
        ]),
      );
      return {
        call: (kind, body) => broker.publish(body, to[kind]),
        close: () => broker.stop(),
      };
    },

    frame: (body) =>
      encode({ correlation_id: 'abcdefghijkl1', 'content-type': 'application/json' }, body),

    async consume(url, { kind, target, batch }, handle) {
      const broker = new RedisBroker(url);
      const each = (body) => {
        if (body.ok) handle(1);
      };
      const all = (bodies) => handle(bodies.length);
      broker.subscriber({ ...at(kind, target), ...(batch && { batch }) }, batch ? all : each);
      await broker.start();
      return () => broker.stop();
    },

    async deliver(url, { target, how }, handle) {
      const broker = new RedisBroker(url);
      const from = { ...at('stream', target), concurrency: 64, ordered: how === 'key' };
      broker.subscriber(from, (body) => {
        if (body.ok) handle();
      });
      await broker.start();
      return {
        send: (body, n) => broker.publish(body, { stream: target, ...WAYS[how](n) }),
        close: () => broker.stop(),
      };
    },
  };
}

export const redstart = variant({ name: 'redstart', label: 'redstart' });

/** Without even the deadline that every call has by default. */
export const bare = variant({ name: 'bare', label: 'plain path', call: { timeout: null } });

/** With what a careful service has: a schema, five asynchronous middlewares, a deadline. */
export const equipped = variant({
  name: 'equipped',
  label: 'schema, five middlewares, deadline',
  call: { timeout: 3_000 },
  brokerOptions: () => ({
    middlewares: Array.from({ length: 5 }, () => async (_, next) => {
      const result = await next();
      return result;
    }),
  }),
  options: () => {
    const z = loadZod();
    const text = z.string();
    const [quantity, price] = [z.number().int(), z.number()];
    return {
      schema: z.object({ n: quantity, sku: text, quantity, note: text, price, ok: z.boolean() }),
    };
  },
});
