// Runs without a server: redstart/testing gives the broker a memory of its own.
import { RedisBroker } from 'redstart';
import { testBroker } from 'redstart/testing';
import { expect, it } from 'vitest';
import { greet, greeted } from '../src/contracts.ts';
import { Greetings } from '../src/greetings.ts';

function newBroker(): { broker: RedisBroker; greetings: Greetings } {
  const broker = new RedisBroker();
  const greetings = new Greetings();
  broker.register(greetings);
  return { broker, greetings };
}

it('greets by name, and counts', async () => {
  const { broker, greetings } = newBroker();
  const test = await testBroker(broker);
  expect(await broker.publish({ name: 'Ada' }, greet)).toEqual({ text: 'Hello, Ada' });
  await test.idle();
  expect(test.published(greeted).map(({ body }) => body)).toEqual([{ name: 'Ada' }]);
  expect(greetings.counts.get('Ada')).toBe(1);
  await test.stop();
});

it('tells an unwanted guest so', async () => {
  const { broker } = newBroker();
  const test = await testBroker(broker);
  const error: unknown = await broker.publish({ name: 'Mallory' }, greet).catch((e: unknown) => e);
  expect(greet.is(error, 'NOT_WELCOME')).toBe(true);
  await test.stop();
});
