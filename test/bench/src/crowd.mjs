// Many subscribers in one broker, each reading its own list or stream, and what a message to one of them takes.
import { pace } from './pace.mjs';
import { Redis, RedisBroker } from './redstart.mjs';

/** Each in turn. */
const PLACES = [
  (name) => ({ list: `${name}:list` }),
  (name) => ({ list: `${name}:reliable`, reliable: true }),
  (name) => ({ stream: `${name}:stream` }),
  (name) => ({ stream: `${name}:group`, group: 'g' }),
];
/** Of those that get all messages where only a few are busy. */
const BUSY = 16;
/** Items in the full list: more than one handler takes in a second. */
const BACKLOG = 600_000;
const CHUNK = 10_000;

/**
 * `sharing` is the option `connections` of the broker. Messages are sent by a client of its own in the same process, so that
 * one clock measures them from the moment at which they were due until their handler runs.
 */
export async function openCrowd(url, { name, count, sharing }) {
  const broker = new RedisBroker(url, { connections: sharing });
  const sender = new Redis(url);
  const waiting = new Map();
  const handle = (body) => {
    waiting.get(body.n)?.(body);
    waiting.delete(body.n);
  };
  const places = Array.from({ length: count - 1 }, (_, n) =>
    PLACES[n % PLACES.length](`${name}:${n}`),
  );
  for (const place of places) broker.subscriber(place, handle);
  const backlog = `${name}:full`;
  let taken = 0;
  const full = broker.subscriber({ list: backlog }, () => {
    taken++;
  });
  await broker.start();

  const sendTo = ({ list, stream }, body) => {
    const text = JSON.stringify(body);
    const sent =
      list === undefined ? sender.xadd(stream, '*', '__data__', text) : sender.rpush(list, text);
    return new Promise((resolve, reject) => {
      waiting.set(body.n, resolve);
      sent.catch(reject);
    });
  };

  const crowd = {
    /** To all at random, or only to a few. */
    pace({ busy, ...options }) {
      const among = busy ? places.slice(0, BUSY) : places;
      // Steps through all places in an order that looks random and is always the same.
      const to = (n) => among[(n * 7_919) % among.length];
      return pace((body) => sendTo(to(body.n), body), options);
    },

    /** Beside a list that is full all the time. */
    async paceBesideFull(options) {
      await full.pause();
      const items = Array.from({ length: CHUNK }, () => '1');
      for (let i = 0; i < BACKLOG; i += CHUNK) await sender.rpush(backlog, ...items);
      const before = taken;
      await full.resume();
      const result = await crowd.pace(options);
      const [left, handled] = [await sender.llen(backlog), taken - before];
      await sender.del(backlog);
      if (left === 0 || handled === 0)
        throw new Error(`the list was not full all the time: ${handled} handled, ${left} left`);
      return result;
    },
  };
  return crowd;
}
