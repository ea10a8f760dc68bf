// What the compiler must infer. Compiled by inferred.test.ts, and never run.
import {
  RedisBroker,
  event,
  onError,
  rpc,
  subscriber,
  type Destination,
  type GatherResult,
  type Message,
  type MessageContext,
} from 'redstart';
import { testBroker } from 'redstart/testing';
import { expectTypeOf } from 'vitest';
import { z } from 'zod';

const Order = z.object({
  sku: z.string(),
  at: z.iso.datetime().transform((text) => new Date(text)),
});
interface Parsed {
  sku: string;
  at: Date;
}
const broker = new RedisBroker('memory://types');
const call = { rpc: true, timeout: 5 } as const;

export async function results(): Promise<void> {
  // A plain publish: receivers, length, id.
  expectTypeOf(await broker.publish(1, 'a')).toEqualTypeOf<number>();
  expectTypeOf(await broker.publish(1, { channel: 'a' })).toEqualTypeOf<number>();
  expectTypeOf(await broker.publish(1, { list: 'a' })).toEqualTypeOf<number>();
  expectTypeOf(await broker.publish(1, { stream: 'a', maxlen: 5 })).toEqualTypeOf<string>();

  // A call: unknown until somebody says.
  expectTypeOf(await broker.publish(1, { stream: 'a', ...call })).toEqualTypeOf<unknown>();
  expectTypeOf(await broker.publish<Parsed>(1, { list: 'a', ...call })).toEqualTypeOf<Parsed>();
  const typed = await broker.publish(1, { channel: 'a', ...call, reply: Order });
  expectTypeOf(typed).toEqualTypeOf<Parsed>();
  expectTypeOf(await broker.request(1, 'a')).toEqualTypeOf<Message>();
  const message = await broker.request(1, { stream: 'a', reply: Order });
  expectTypeOf(message).toEqualTypeOf<Message<Parsed>>();

  // A batch: the length of the list, the ids of the entries, the receivers of each.
  expectTypeOf(await broker.publishBatch([1], { list: 'a' })).toEqualTypeOf<number>();
  expectTypeOf(await broker.publishBatch([1], { stream: 'a' })).toEqualTypeOf<string[]>();
  expectTypeOf(await broker.publishBatch([1], 'a')).toEqualTypeOf<number[]>();

  // With an id, a list's message resolves with that.
  expectTypeOf(await broker.publish(1, { list: 'a', id: 'x' })).toEqualTypeOf<string>();
  const withIds = broker.publishBatch([1], { list: 'a', id: (n: number, i) => `${n}-${i}` });
  expectTypeOf(await withIds).toEqualTypeOf<string[]>();

  // A time that only the running program knows, by a contract, too: there is a handle.
  const soon = event({ list: 'a' }, { schema: Order });
  const order = { sku: 'a', at: '' };
  const delay = Number('5');
  expectTypeOf(await broker.publish(order, soon, { delay })).toEqualTypeOf<string>();
  expectTypeOf(await broker.publish(order, soon, { at: new Date() })).toEqualTypeOf<string>();
  expectTypeOf(await broker.publish(order, soon, { expires: delay })).toEqualTypeOf<number>();
  expectTypeOf(await broker.publishBatch([order], soon, { delay })).toEqualTypeOf<string[]>();
  expectTypeOf(await broker.clientFor({ soon }).soon(order, { delay })).toEqualTypeOf<string>();

  // A publisher takes what its schema takes, and sends like a publish.
  const orders = broker.publisher({ stream: 'a' }, { schema: Order });
  expectTypeOf(orders.publish).parameter(0).toEqualTypeOf<{ sku: string; at: string }>();
  expectTypeOf(await orders.publish({ sku: 'a', at: '' })).toEqualTypeOf<string>();
  expectTypeOf(await broker.publisher('a').publish(1)).toEqualTypeOf<number>();
}

const errors = { GONE: z.object({ at: z.number() }) };
const place = rpc({ list: 'a', reliable: true }, { request: Order, reply: Order, errors });
const ask = rpc('a', { request: z.string(), reply: z.number() });
const many = rpc('a', { request: z.void(), reply: z.number(), many: true });
const placed = event({ stream: 'a', group: 'g', batch: true }, { schema: Order });
const queued = event({ list: 'a' }, { schema: Order });
const order = { sku: 'a', at: '' };
declare const somewhere: Destination;

export async function contracts(): Promise<void> {
  expectTypeOf(await broker.publish(order, place)).toEqualTypeOf<Parsed>();
  expectTypeOf(await broker.publish(order, placed)).toEqualTypeOf<string>();
  expectTypeOf(await broker.publish(order, queued)).toEqualTypeOf<number>();
  expectTypeOf(await broker.request(order, place, call)).toEqualTypeOf<Message<Parsed>>();
  expectTypeOf(await broker.gather('a', ask)).toEqualTypeOf<GatherResult<number>>();
  const items = broker.requestMany(undefined, many);
  expectTypeOf(items).toEqualTypeOf<AsyncIterableIterator<number, undefined>>();
  expectTypeOf(await broker.publishBatch([order], placed)).toEqualTypeOf<string[]>();
  expectTypeOf(await broker.publishBatch([order], queued)).toEqualTypeOf<number>();
  expectTypeOf(await broker.publish(order, queued, { headers: {} })).toEqualTypeOf<number>();
  expectTypeOf(await broker.publish(order, queued, { id: 'x' })).toEqualTypeOf<string>();
  expectTypeOf(await broker.answer('x', place)).toEqualTypeOf<Parsed>();
  expectTypeOf(await broker.answer('x', { list: 'a' })).toEqualTypeOf<unknown>();
  const fitting = broker.answer('x', { stream: 'a', reply: Order });
  expectTypeOf(await fitting).toEqualTypeOf<Parsed>();
  const skus = broker.publishBatch([order], queued, { id: ({ sku }) => sku });
  expectTypeOf(await skus).toEqualTypeOf<string[]>();

  const client = broker.clientFor({ place, many, placed, queued });
  expectTypeOf(await client.place(order)).toEqualTypeOf<Parsed>();
  expectTypeOf(client.many()).toEqualTypeOf<AsyncIterableIterator<number, undefined>>();
  expectTypeOf(await client.placed(order)).toEqualTypeOf<string>();
  expectTypeOf(await client.queued(order)).toEqualTypeOf<number>();

  expectTypeOf(await broker.publisher(placed).publish(order)).toEqualTypeOf<string>();
  expectTypeOf(await broker.publisher(place).publish(order)).toEqualTypeOf<Parsed>();
  expectTypeOf(await broker.publisher(place).request(order)).toEqualTypeOf<Message<Parsed>>();
  const everywhere = broker.publisher({ channel: 'a' }, { schema: Order });
  expectTypeOf(broker.publisher(many).requestMany()).toEqualTypeOf<
    AsyncIterableIterator<number, undefined>
  >();
  const rows = broker.publisher({ list: 'a' }).requestMany<number>(1, { window: 5 });
  expectTypeOf(rows).toEqualTypeOf<AsyncIterableIterator<number, undefined>>();
  expectTypeOf(await everywhere.gather<string>({ sku: 'a', at: '' })).toEqualTypeOf<
    GatherResult<string>
  >();
  const [taken] = [await (await broker.subscribe(queued)).next()];
  expectTypeOf(taken?.body).toEqualTypeOf<Parsed | undefined>();

  // A destination that is held in a variable.
  expectTypeOf(await broker.publish(1, somewhere)).toEqualTypeOf<number | string>();
  expectTypeOf(await broker.publish(1, { ...somewhere, ...call })).toEqualTypeOf<unknown>();
  await broker.request(1, somewhere);
  await broker.publishBatch([1], somewhere);
  broker.pipeline().publish(1, somewhere).publish(order, placed, { correlationId: 'a' });
  expectTypeOf(await broker.publisher(somewhere).publish(1)).toEqualTypeOf<number | string>();
  broker.requestMany(1, somewhere);
  await broker.gather(1, somewhere);
  await broker.subscribe(somewhere);
  await broker.cancel(somewhere, 'handle');
  broker.subscriber(somewhere, (body: string, ctx) => {
    expectTypeOf(ctx.message.correlationId).toEqualTypeOf<string>();
    return body;
  });
}

export function contractHandlers(): void {
  broker.subscriber(place, (body, ctx) => {
    expectTypeOf(body).toEqualTypeOf<Parsed>();
    expectTypeOf(ctx).toEqualTypeOf<MessageContext<Parsed>>();
    return order;
  });
  broker.subscriber(placed, (bodies) => expectTypeOf(bodies).toEqualTypeOf<Parsed[]>());
  broker.subscriber(queued, { batch: true, reliable: true }, (bodies) => {
    expectTypeOf(bodies).toEqualTypeOf<Parsed[]>();
  });
  broker.subscriber(many, async function* items() {
    yield await Promise.resolve(1);
  });
  broker.subscriber(queued, { inject: { count: () => 1 } }, (_body, ctx) => {
    expectTypeOf(ctx.state.count).toEqualTypeOf<number>();
  });
  broker.subscriber('logs.{level}.{host}', (_body, { path }) => {
    expectTypeOf(path).toEqualTypeOf<{ readonly level: string; readonly host: string }>();
  });
  // A function that depends on its context is no obstacle to the rest.
  const backoff = { maxDeliveries: 3, backoff: (deliveries: number) => deliveries };
  const retried = event(
    { list: 'a', reliable: true, retry: { ...backoff, backoff: (deliveries) => deliveries } },
    { schema: Order },
  );
  broker.subscriber(retried, (body) => expectTypeOf(body).toEqualTypeOf<Parsed>());
  broker.subscriber({ list: 'a', schema: Order, filter: ({ body }) => body !== 1 }, (body) => {
    expectTypeOf(body).toEqualTypeOf<Parsed>();
  });
}

declare module 'redstart' {
  interface MessageState {
    declaredForTypes: Date;
  }
}

function* connection(): Generator<{ open: boolean }> {
  yield { open: true };
}

const user = async (): Promise<string> => Promise.resolve('user');

export function injected(): void {
  // The handler's state holds what the functions make, and what the program declares.

  const inject = { user, connection, count: () => 1 };
  broker.subscriber({ list: 'a', schema: Order, inject }, async (body, ctx) => {
    expectTypeOf(body).toEqualTypeOf<Parsed>();
    expectTypeOf(ctx.state.user).toEqualTypeOf<string>();
    expectTypeOf(ctx.state.connection).toEqualTypeOf<{ open: boolean }>();
    expectTypeOf(ctx.state.count).toEqualTypeOf<number>();
    expectTypeOf(ctx.state.declaredForTypes).toEqualTypeOf<Date>();
    expectTypeOf(ctx.state['other']).toEqualTypeOf<unknown>();
    expectTypeOf(await ctx.resolve(user)).toEqualTypeOf<string>();
    expectTypeOf(await ctx.resolve(connection)).toEqualTypeOf<{ open: boolean }>();
  });
  broker.override(user, () => 'another');
  broker.onError(RangeError, (error) => expectTypeOf(error).toEqualTypeOf<RangeError>());
  onError(TypeError, (error, { state }) => {
    expectTypeOf(error).toEqualTypeOf<TypeError>();
    expectTypeOf(state.declaredForTypes).toEqualTypeOf<Date>();
  });
}

class Shop {
  @subscriber({ list: 'a', schema: Order })
  async place(order: Parsed): Promise<number> {
    return Promise.resolve(order.sku.length);
  }
  readonly name = 'shop';
}

export async function tested(): Promise<void> {
  // What a test sees of a handler is typed by it.
  await using test = await testBroker(broker);
  const [placed] = test.handled(Shop, 'place');
  expectTypeOf(placed?.body).toEqualTypeOf<Parsed | undefined>();
  expectTypeOf(placed?.result).toEqualTypeOf<number | undefined>();
  const [called] = test.handled((text: string) => text.length);
  expectTypeOf(called?.body).toEqualTypeOf<string | undefined>();
  expectTypeOf(called?.result).toEqualTypeOf<number | undefined>();
}

export function handlers(): void {
  // A handler receives what the schema gives.
  broker.subscriber({ list: 'a', schema: Order }, (body, ctx) => {
    expectTypeOf(body).toEqualTypeOf<Parsed>();
    expectTypeOf(ctx).toEqualTypeOf<MessageContext<Parsed>>();
  });
  broker.subscriber({ stream: 'a', batch: true, schema: Order }, (bodies) => {
    expectTypeOf(bodies).toEqualTypeOf<Parsed[]>();
  });
  broker.subscriber('a', { schema: Order }, (body) => {
    expectTypeOf(body).toEqualTypeOf<Parsed>();
  });
}

const retry = { maxDeliveries: 3 };
const rate = { limit: 1, per: 1_000 };
const failures = { retry, deadLetter: false, pause: { after: 5 }, once: 5 } as const;
const reading = { maxRecords: 5, concurrency: 2, title: 'a' };
const grouped = { consumer: 'c', lastId: '0', declare: false, maxlen: 5, claim: { minIdle: 100 } };
const ofGroup = { ...grouped, deleteOnAck: true, rate };

export class SeparateOptions {
  @subscriber({ list: 'a', reliable: true }, { ...failures, ...reading, rate, noReply: true })
  reliable(_body: unknown): void {}

  @subscriber({ list: 'a' }, { ...failures, ...reading, reliable: true })
  madeReliable(_body: unknown): void {}

  @subscriber(queued, { ...failures, ...reading, rate, reliable: true })
  contract(_order: Parsed): void {}

  @subscriber({ stream: 'a', group: 'g' }, { ...failures, ...reading, ...ofGroup })
  group(_body: unknown): void {}

  @subscriber({ list: 'a', schema: Order }, { batch: true, maxWait: 5 })
  batch(_orders: Parsed[]): void {}
}

export function optionsBeside(): void {
  // What an address takes may be given beside it, and beside a contract.
  const grouping = { ...failures, ...reading, ...ofGroup, group: 'g' };
  broker.subscriber({ stream: 'a' }, grouping, () => undefined);
  broker.subscriber(event({ stream: 'a' }, { schema: Order }), grouping, () => undefined);
  broker.subscriber({ stream: 'a', group: 'g' }, { noAck: true }, () => undefined);
  broker.subscriber(placed, { ...failures, ...ofGroup }, () => undefined);
  broker.subscriber(place, { ...failures, rate }, () => order);
  broker.subscriber({ list: 'a' }, { rate, schema: Order }, (body) => {
    expectTypeOf(body).toEqualTypeOf<Parsed>();
  });
  broker.subscriber('a', { pattern: false, schema: Order }, (body) => {
    expectTypeOf(body).toEqualTypeOf<Parsed>();
  });
  const backoff = {
    reliable: true,
    retry: { backoff: (deliveries: number) => deliveries },
  } as const;
  broker.subscriber({ list: 'a', schema: Order }, backoff, (body) => {
    expectTypeOf(body).toEqualTypeOf<Parsed>();
  });
  broker.subscriber({ list: 'a', schema: Order }, { batch: true, maxWait: 5 }, (bodies) => {
    expectTypeOf(bodies).toEqualTypeOf<Parsed[]>();
  });
}
