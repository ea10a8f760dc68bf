// `npm run build && node test/nest/bench.mjs`: what a handler costs in a Nest app, compared with the same handler
// without Nest. Calls in memory, one after the other, in this process: all that is measured is work. Needs
// nothing but the root's own dependencies and the built package.
import 'reflect-metadata';
import { Module, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { RedisBroker, subscriber } from 'redstart';
import { RedstartModule } from 'redstart/nestjs';

/** A plain handler may cost this much more than without Nest. */
const LIMIT = 1.05;
/** Pairs of measurements; both halves of a pair run next to each other, each one first in turn. */
const ROUNDS = 60;
const MILLISECONDS = 100;
const WARM_UP = 1_500;

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

/** Microseconds of one call. */
async function measure(broker, milliseconds) {
  const began = performance.now();
  let calls = 0;
  let now = began;
  while (now - began < milliseconds) {
    for (let i = 0; i < 50; i++) await broker.publish('A-1', to);
    calls += 50;
    now = performance.now();
  }
  return ((now - began) * 1_000) / calls;
}

function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
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

for (const [name, broker] of [
  ['without Nest, a second time', second],
  ['in Nest, a plain handler', plain],
  ['in Nest, behind a guard', guarded],
]) {
  const ratios = [];
  const micros = [];
  for (let round = 0; round < ROUNDS; round++) {
    const pair = round % 2 === 0 ? [first, broker] : [broker, first];
    const times = [];
    for (const one of pair) times.push(await measure(one, MILLISECONDS));
    const [without, within] = round % 2 === 0 ? times : times.toReversed();
    ratios.push(within / without);
    micros.push(within);
  }
  const percent = ((median(ratios) - 1) * 100).toFixed(1);
  if (broker === plain && median(ratios) > LIMIT) process.exitCode = 1;
  console.log(
    `${name}: ${percent} % more (median of ${ROUNDS} pairs), ${median(micros).toFixed(1)} µs a call`,
  );
}
process.exit();
