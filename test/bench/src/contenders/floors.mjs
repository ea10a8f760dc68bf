// The same job written by hand on ioredis, with FastStream's frames, correlation and JSON, and
// nothing else: no errors, no timeouts, no reconnects. `plain` is how most people write it;
// `coalesced` is how careful people do.
import { randomBytes } from 'node:crypto';
import { decode, encode } from '../envelope.mjs';
import { Redis } from '../redstart.mjs';

const JSON_TYPE = 'application/json';
const GROUP = 'g';

/** All commands of one tick in one system call. */
function coalesce(client) {
  client.on('connect', () => {
    const { stream } = client;
    const write = stream.write.bind(stream);
    let corked = false;
    stream.write = (...args) => {
      if (!corked) {
        corked = true;
        stream.cork();
        process.nextTick(() => {
          corked = false;
          stream.uncork();
        });
      }
      return write(...args);
    };
  });
  return client;
}

/** Items one by one with BLPOP, or as many as there are with BLMPOP. */
async function readList(client, name, count, isOpen, handle) {
  while (isOpen()) {
    if (count === 1) {
      const reply = await client.blpopBuffer(name, 1);
      if (reply !== null) handle([reply[1]]);
    } else {
      const reply = await client.blmpopBuffer(1, 1, name, 'LEFT', 'COUNT', count);
      if (reply !== null) handle(reply[1]);
    }
  }
}

/** Entries of a group, with one XACK for each or one for all that a read brought. */
async function readGroup(client, name, count, ack, isOpen, handle) {
  const group = ['GROUP', GROUP, 'c', 'COUNT', count, 'BLOCK', 1000];
  while (isOpen()) {
    const reply = await client.xreadgroupBuffer(...group, 'STREAMS', name, '>');
    if (reply === null) continue;
    const entries = reply[0][1];
    handle(entries.map(([, fields]) => fields[1]));
    ack(
      name,
      entries.map(([id]) => id),
    );
  }
}

/** `at` gives how many are read at once: from a list, from a stream. */
function floor({ name, label, wrap, at, consumesAt, acknowledge }) {
  const connect = (url) => wrap(new Redis(url));

  /** Reads one structure; resolves, once it is subscribed to, with a function that stops it. */
  async function listen(url, kind, target, count, commands, handle) {
    const reader = new Redis(url);
    let open = true;
    const isOpen = () => open;
    const gone = (error) => {
      if (open) throw error;
    };
    if (kind === 'channel') {
      reader.on('messageBuffer', (_, frame) => handle([frame]));
      await reader.subscribe(target);
    } else if (kind === 'list') {
      readList(reader, target, count, isOpen, handle).catch(gone);
    } else {
      await commands.xgroup('CREATE', target, GROUP, '0', 'MKSTREAM').catch(() => undefined);
      readGroup(reader, target, count, acknowledge(commands), isOpen, handle).catch(gone);
    }
    return () => {
      open = false;
      reader.disconnect();
    };
  }

  return {
    name,
    label,

    async serve(url, names) {
      const commands = connect(url);
      const answer = (frames) => {
        for (const frame of frames) {
          const { headers, body } = decode(frame);
          const { correlation_id } = headers;
          const reply = encode({ correlation_id, 'content-type': JSON_TYPE }, body);
          void commands.publish(headers.reply_to, reply);
        }
      };
      const stops = [];
      for (const [kind, target] of Object.entries(names))
        stops.push(await listen(url, kind, target, at[kind], commands, answer));
      return () => {
        for (const stop of stops) stop();
        commands.disconnect();
      };
    },

    async connect(url, names) {
      const commands = connect(url);
      const inbox = new Redis(url);
      const prefix = randomBytes(9).toString('base64url');
      const pending = new Map();
      let count = 0;
      inbox.on('messageBuffer', (_, frame) => {
        const { headers, body } = decode(frame);
        const resolve = pending.get(headers.correlation_id);
        if (resolve === undefined) return;
        pending.delete(headers.correlation_id);
        resolve(body);
      });
      await inbox.subscribe(`inbox:${prefix}`);
      const call = (kind, body) =>
        new Promise((resolve) => {
          const correlation_id = prefix + String(++count);
          pending.set(correlation_id, resolve);
          const reply_to = `inbox:${prefix}`;
          const frame = encode({ correlation_id, 'content-type': JSON_TYPE, reply_to }, body);
          if (kind === 'channel') void commands.publish(names.channel, frame);
          else if (kind === 'list') void commands.rpush(names.list, frame);
          else void commands.xadd(names.stream, '*', '__data__', frame);
        });
      const close = () => {
        commands.disconnect();
        inbox.disconnect();
      };
      return { call, close };
    },

    frame: (body) => encode({ correlation_id: 'abcdefghijkl1', 'content-type': JSON_TYPE }, body),

    async consume(url, { kind, target, batch }, handle) {
      const commands = connect(url);
      const each = (frames) => {
        for (const frame of frames) if (decode(frame).body.ok) handle(1);
      };
      const all = (frames) => {
        const bodies = frames.map((frame) => decode(frame).body);
        handle(bodies.length);
      };
      const count = batch ? 100 : consumesAt[kind];
      const stop = await listen(url, kind, target, count, commands, batch ? all : each);
      return () => {
        stop();
        commands.disconnect();
      };
    },
  };
}

/** One write per command, BLPOP, one XACK per entry. */
export const plain = floor({
  name: 'plain',
  label: 'ioredis, plain',
  wrap: (client) => client,
  at: { list: 1, stream: 100 },
  consumesAt: { list: 1, stream: 100 },
  acknowledge: (commands) => (name, ids) => {
    for (const id of ids) void commands.xack(name, GROUP, id);
  },
});

/** Writes coalesced per tick, BLMPOP and XREADGROUP of many, one XACK for a read. */
export const coalesced = floor({
  name: 'coalesced',
  label: 'ioredis, coalesced',
  wrap: coalesce,
  at: { list: 100, stream: 100 },
  // As far as redstart reads ahead for a handler that takes one message at a time.
  consumesAt: { list: 256, stream: 256 },
  acknowledge: (commands) => (name, ids) => void commands.xack(name, GROUP, ...ids),
});
