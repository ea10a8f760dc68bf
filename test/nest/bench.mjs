// What a handler costs in a Nest app, compared with the same handler without Nest: test/nest/cost.test.ts runs it on
// each version of Nest, `npm run build && node test/nest/bench.mjs` on the root's. Calls in memory, one after the
// other, in this process; what is measured is the CPU time of the process. Ends with 1 where the limit is passed.
import 'reflect-metadata';
import { Module, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RedisBroker, subscriber } from 'redstart';
import { RedstartModule } from 'redstart/nestjs';

/** A plain handler may cost this much more than without Nest. */
const LIMIT = 1.05;
/** Pairs of measurements in a round; both halves of a pair run next to each other, each one first in turn. */
const PAIRS = 40;
/** What else the machine does makes pairs uneven: a round may fail, and the limit is passed where all of them fail. */
const ROUNDS = 3;
const CALLS = 1_000;
const WARM_UP = 20_000;

const to = { channel: 'prices', rpc: true };

/** A class with a handler, as a compiler leaves it. A class of its own for each app. */
function handlers() {
  class Prices {
    async price(sku) {
      return { sku, cents: 1999 };
    }
  }
  const method = Object.getOwnPropertyDescriptor(Prices.prototype, 'price');
  subscriber('prices')(Prices.prototype, 'price', method);
  return Prices;
}

async function bare(name) {
  const broker = new RedisBroker(`memory://${name}`);
  broker.register(new (handlers())());
  await broker.start();
  return broker;
}

async function inNest(name, decorate = () => {}) {
  const type = handlers();
  decorate(type);
  class AppModule {}
  const connection = `memory://${name}`;
  Module({ imports: [RedstartModule.forRoot({ connection })], providers: [type] })(AppModule);
  const app = await NestFactory.createApplicationContext(AppModule, { logger: ['error'] });
  return app.get(RedisBroker);
}

/** Microseconds of CPU that one of so many calls takes. */
async function measure(broker, calls) {
  const before = process.cpuUsage();
  for (let i = 0; i < calls; i++) await broker.publish('A-1', to);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / calls;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** The median of what a broker costs, of the other one's, and its microseconds a call. */
async function compare(broker, other) {
  const ratios = [];
  const micros = [];
  for (let pair = 0; pair < PAIRS; pair++) {
    const order = pair % 2 === 0 ? [other, broker] : [broker, other];
    const costs = [];
    for (const one of order) costs.push(await measure(one, CALLS));
    const [without, within] = pair % 2 === 0 ? costs : costs.toReversed();
    ratios.push(within / without);
    micros.push(within);
  }
  return { ratio: median(ratios), micros: median(micros) };
}

class Allow {
  canActivate() {
    return true;
  }
}

const first = await bare('first');
const second = await bare('second');
const plain = await inNest('plain');
const guarded = await inNest('guarded', (type) => UseGuards(Allow)(type));
for (const broker of [first, second, plain, guarded]) await measure(broker, WARM_UP);

async function print(name, broker) {
  const { ratio, micros } = await compare(broker, first);
  const percent = ((ratio - 1) * 100).toFixed(1);
  console.log(
    `${name}: ${percent} % more CPU (median of ${PAIRS} pairs), ${micros.toFixed(1)} µs a call`,
  );
  return ratio;
}

await print('without Nest, a second time', second);
let isWithin = false;
for (let round = 0; round < ROUNDS && !isWithin; round++)
  isWithin = (await print('in Nest, a plain handler', plain)) <= LIMIT;
// A measurement that cannot tell a guard would tell nothing.
const costOfGuard = await print('in Nest, behind a guard', guarded);
process.exit(isWithin && costOfGuard > LIMIT ? 0 : 1);
