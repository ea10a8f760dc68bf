// One process of one contender. It does what the run asks for, one thing at a time.
import { bodyOf } from './bodies.mjs';
import { loadContender } from './contenders/index.mjs';
import { openCrowd } from './crowd.mjs';
import { load, microseconds } from './load.mjs';
import { Metronome } from './metronome.mjs';
import { pace } from './pace.mjs';
import { SMALL } from './plan.mjs';
import { Profiler } from './profiler.mjs';

/** Messages between two signs of progress, which keep what a channel has on its way bounded. */
const PROGRESS = 2_048;

const [name, url] = process.argv.slice(2);
const contender = await loadContender(name);
let stop;
let clients = [];
let consumed;
let metronome;
let crowd;
let profiler;

const operations = {
  async serve({ names, idle }) {
    stop = await contender.serve(url, names, idle);
  },

  async stop() {
    await stop?.();
    stop = undefined;
  },

  async connect({ names, count = 1 }) {
    clients = await Promise.all(Array.from({ length: count }, () => contender.connect(url, names)));
  },

  async disconnect() {
    await Promise.all(clients.map((client) => client.close()));
    clients = [];
  },

  /** As many calls as can be made, so many waiting at any time, beside the beat that `pace` needs. */
  async saturate({ kind, size, ...options }) {
    const [client] = clients;
    metronome ??= await Metronome.open();
    metronome.start(() => undefined);
    try {
      return await load((body) => client.call(kind, body), { ...options, body: bodyOf(size) });
    } finally {
      metronome.stop();
    }
  },

  /** Calls by a schedule. */
  async pace({ kind, size, ...options }) {
    const [client] = clients;
    metronome ??= await Metronome.open();
    const call = (body) => client.call(kind, body);
    return pace(call, { ...options, metronome, body: bodyOf(size) });
  },

  /** Calls in turn on every client. */
  load({ kind, size, ...options }) {
    const [only] = clients;
    let turn = 0;
    const call =
      clients.length === 1
        ? (body) => only.call(kind, body)
        : (body) => clients[turn++ % clients.length].call(kind, body);
    return load(call, { ...options, body: bodyOf(size) });
  },

  /** Microseconds of CPU for what nobody can leave out: two values written, and two read. */
  json({ size, milliseconds }) {
    const body = bodyOf(size);
    const before = process.cpuUsage();
    let turns = 0;
    for (const end = performance.now() + milliseconds; performance.now() < end; turns++)
      JSON.parse(JSON.stringify(JSON.parse(JSON.stringify(body))));
    return microseconds(process.cpuUsage(before)) / turns;
  },

  /** Subscribers of every kind in one broker, which send themselves what they get. */
  async crowd(options) {
    crowd = await openCrowd(url, options);
    metronome ??= await Metronome.open();
  },

  crowdPace: (options) => crowd.pace({ ...options, metronome, body: bodyOf(SMALL) }),

  crowdFull: (options) => crowd.paceBesideFull({ ...options, metronome, body: bodyOf(SMALL) }),

  cpu: () => microseconds(process.cpuUsage()),

  async profile() {
    profiler = new Profiler();
    await profiler.begin();
  },

  profiled: () => profiler.end(),

  frame: ({ target, size }) => ({
    frame: contender.frame(bodyOf(size), target).toString('base64'),
    address: contender.address?.(target) ?? target,
  }),

  fill: ({ target, size, count }) => contender.fill(url, target, bodyOf(size), count),

  /** Begins to consume. What comes first starts the clock and is not counted. */
  async subscribe({ count, ...options }) {
    let report;
    consumed = new Promise((resolve) => (report = resolve));
    let [seen, first, next] = [0, 0, PROGRESS];
    let [began, cpu] = [0, 0];
    stop = await contender.consume(url, options, (messages) => {
      seen += messages;
      if (first === 0) {
        [first, began, cpu] = [seen, performance.now(), process.cpuUsage()];
      }
      if (seen >= next) {
        next = seen + PROGRESS;
        process.send({ progress: seen });
      }
      if (seen < count || report === undefined) return;
      const [milliseconds, used] = [performance.now() - began, process.cpuUsage(cpu)];
      report({
        rate: ((seen - first) / milliseconds) * 1_000,
        cpu: microseconds(used) / (seen - first),
      });
      report = undefined;
    });
  },

  consumed: () => consumed,

  /** Sends and handles in this process: so many at a time are being sent. Ends when all are handled. */
  async deliver({ size, count, inFlight, ...options }) {
    const body = bodyOf(size);
    let [sent, handled] = [0, 0];
    let done;
    const all = new Promise((resolve) => (done = resolve));
    const { send, close } = await contender.deliver(url, options, () => {
      if (++handled === count) done();
    });
    const before = process.cpuUsage();
    const began = performance.now();
    const sender = async () => {
      for (let n = sent++; n < count; n = sent++) await send(body, n);
    };
    await Promise.all([...Array.from({ length: inFlight }, sender), all]);
    const milliseconds = performance.now() - began;
    const cpu = microseconds(process.cpuUsage(before)) / count;
    await close();
    return { rate: (count / milliseconds) * 1_000, cpu };
  },

  /** Bytes of heap that each of so many calls holds which nobody answers. */
  async pending({ kind, size, count }) {
    const [client] = clients;
    const body = bodyOf(size);
    const before = heap();
    for (let i = 0; i < count; i++) {
      client.call(kind, body).catch(() => undefined);
      // Lets what was written leave, as it would where calls come one after the other.
      if (i % 500 === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
    return (heap() - before) / count;
  },
};

function heap() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

process.on('disconnect', () => process.exit());
process.on('message', ({ id, operation, options }) => {
  Promise.resolve()
    .then(() => operations[operation](options))
    .then(
      (result) => process.send({ id, result }),
      (error) => process.send({ id, error: error.stack }),
    );
});
process.send({ ready: true });
