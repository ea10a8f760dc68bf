// Mistakes that the compiler must refuse: `@ts-expect-error` is itself an error where it accepts one.
// Compiled by inferred.test.ts in both decorator dialects, and never run.
import {
  RedisBroker,
  RedisRouter,
  createApp,
  event,
  publisher,
  rpc,
  subscriber,
  type AckPolicy,
  type MessageContext,
} from 'redstart';
import type { TestBroker } from 'redstart/testing';
import { z } from 'zod';

const Order = z.object({ sku: z.string(), quantity: z.number() });
type Order = z.infer<typeof Order>;
declare const test: TestBroker;
declare const text: () => string;
const broker = new RedisBroker('memory://types');
const retry = { maxDeliveries: 3 };
const deadLetter = { stream: 'dead' };
const claim = { minIdle: 1_000 };
const pause = { after: 5 };
const handle = (): number => 1;
const place = rpc({ list: 'a' }, { request: Order, reply: z.number() });
const lines = rpc('a', { request: z.string(), reply: z.string(), many: true });
const streamed = { request: Order, reply: Order, many: true } as const;
const acknowledging = event({ list: 'a', reliable: true, ackPolicy: 'ack' }, { schema: Order });
declare const policy: AckPolicy;
const placed = event({ stream: 'a', group: 'g' }, { schema: Order });

export class Handlers {
  // @ts-expect-error: a channel has no group
  @subscriber({ channel: 'a', group: 'g' })
  groupOnChannel(_body: unknown): void {}

  // @ts-expect-error: nor has a list
  @subscriber({ list: 'a', group: 'g' })
  groupOnList(_body: unknown): void {}

  // @ts-expect-error: only lists need to be made reliable
  @subscriber({ stream: 'a', reliable: true })
  reliableStream(_body: unknown): void {}

  // @ts-expect-error: a channel has no batches
  @subscriber({ channel: 'a', batch: true })
  batchOnChannel(_body: unknown[]): void {}

  // @ts-expect-error: one destination
  @subscriber({ channel: 'a', list: 'b' })
  twoPlaces(_body: unknown): void {}

  // @ts-expect-error: the schema gives an order
  @subscriber({ list: 'a', schema: Order })
  wrongBody(_order: number): void {}

  // @ts-expect-error: the order's quantity is a number
  @subscriber('a', { schema: Order })
  wrongField(_order: { sku: string; quantity: string }): void {}

  // @ts-expect-error: the context holds an order, too
  @subscriber({ list: 'a', schema: Order })
  wrongContext(_order: Order, _ctx: MessageContext<number>): void {}

  // @ts-expect-error: the answer is to be an order
  @subscriber({ list: 'a', reply: Order })
  wrongAnswer(_body: unknown): string {
    return 'no order';
  }

  // @ts-expect-error: a batch is an array
  @subscriber({ list: 'a', batch: true, schema: Order })
  oneOfABatch(_order: Order): void {}

  // @ts-expect-error: a batch is an array of orders
  @subscriber({ stream: 'a', batch: true, schema: Order })
  wrongBatch(_orders: number[]): void {}

  // @ts-expect-error: no batch was asked for
  @subscriber({ list: 'a', schema: Order })
  arrayOfOne(_orders: Order[]): void {}

  // @ts-expect-error: there is no such option
  @subscriber({ list: 'a', gruop: 'g' })
  misspelt(_body: unknown): void {}

  // @ts-expect-error: nor such a policy
  @subscriber({ stream: 'a', group: 'g', ackPolicy: 'often' })
  badPolicy(_body: unknown): void {}

  // @ts-expect-error: decorators are for methods
  @subscriber('a')
  field = 1;

  // @ts-expect-error: nothing of the kind is injected
  @subscriber({ list: 'a', inject: { user: () => 'name' } })
  wrongInjection(_body: unknown, _ctx: MessageContext<unknown, { user: number }>): void {}

  // @ts-expect-error: nothing is injected
  @subscriber({ list: 'a' })
  noInjection(_body: unknown, _ctx: MessageContext<unknown, { user: string }>): void {}

  // @ts-expect-error: a value is no function that makes one
  @subscriber({ list: 'a', inject: { user: 'name' } })
  fixedInjection(_body: unknown): void {}

  @subscriber({ list: 'a', inject: { user: async () => Promise.resolve('name') } })
  rightInjection(_body: unknown, { state }: MessageContext<unknown, { user: string }>): string {
    return state.user;
  }

  @subscriber({ list: 'a', schema: Order })
  right(order: Order, ctx: MessageContext<Order>): number {
    return order.quantity + ctx.message.body.quantity;
  }

  @subscriber({ stream: 'a', group: 'g', batch: true, schema: Order })
  rightBatch(orders: Order[]): number[] {
    return orders.map(({ quantity }) => quantity);
  }
}

export async function calls(): Promise<void> {
  // @ts-expect-error: one destination
  await broker.publish(1, { channel: 'a', list: 'b' });
  // @ts-expect-error: one destination
  await broker.publish(1, { list: 'a', stream: 'b' });
  // @ts-expect-error: one destination, of a call too
  await broker.publish(1, { channel: 'a', stream: 'b', rpc: true });
  // @ts-expect-error: no destination
  await broker.publish(1, {});
  // @ts-expect-error: milliseconds are a number
  await broker.publish(1, { channel: 'a', timeout: '5' });
  // @ts-expect-error: messages that are sent together have no timeout of their own
  await broker.publishBatch([1], { list: 'a', timeout: 5 });
  // @ts-expect-error: messages that are sent together have no signal of their own
  await broker.publishBatch([1], { list: 'a', signal: AbortSignal.timeout(5) });
  // @ts-expect-error: only a stream has a length to cap
  await broker.publish(1, { list: 'a', maxlen: 5 });
  // @ts-expect-error: who waits for the answer does not have it sent elsewhere
  await broker.publish(1, { channel: 'a', rpc: true, replyTo: 'b' });
  // @ts-expect-error: milliseconds are a number
  await broker.request(1, { channel: 'a', timeout: '5' });
  // @ts-expect-error: a header is text, a number or a boolean
  await broker.publish(1, { channel: 'a', headers: { a: null } });
  // @ts-expect-error: a batch waits for no answer
  await broker.publishBatch([1], { channel: 'a', rpc: true });
  // @ts-expect-error: what is published fits the publisher's schema
  await broker.publisher('a', { schema: Order }).publish({ sku: 1 });

  // @ts-expect-error: the schema gives an order
  broker.subscriber({ list: 'a', schema: Order }, {}, (_order: number) => 1);
  // @ts-expect-error: there is no such method
  test.handled(Handlers, 'rihgt');
  // @ts-expect-error: a field is no handler
  test.handled(Handlers, 'field');

  // @ts-expect-error: a filter is a function of the message
  broker.subscriber({ list: 'a', filter: 'b' }, () => 1);
  // @ts-expect-error: a filter says yes or no
  broker.subscriber({ list: 'a', filter: ({ body }: { body: unknown }) => body }, () => 1);
  // @ts-expect-error: routers have no such option
  broker.include(new RedisRouter({ prefx: 'a' }));
  // @ts-expect-error: only routers are included
  broker.include(broker);
  // @ts-expect-error: a router's publisher fits its schema, too
  await new RedisRouter().publisher('a', { schema: Order }).publish({ sku: 1 });
  // @ts-expect-error: a codec both encodes and decodes
  broker.publisher('a', { codec: { encode: () => ({ body: '' }) } });
  // @ts-expect-error: only a batch waits to be full
  broker.subscriber({ channel: 'a', maxWait: 5 }, () => 1);
  // @ts-expect-error: apps have no such hook
  createApp(broker, { onStart: () => undefined });
  // @ts-expect-error: consumers wait for milliseconds
  await (await broker.subscribe('a')).next({ timeout: '5' });

  // @ts-expect-error: an error handler is for a class of errors
  broker.onError(Map, () => null);
  // @ts-expect-error: it gets that class's error
  broker.onError(TypeError, (error: RangeError & { own: 1 }) => error.own);
  // @ts-expect-error: what stands in for a dependency makes the same
  broker.override(text, () => 5);
  // @ts-expect-error: a pipeline waits for no answer
  broker.pipeline().publish(1, { channel: 'a', rpc: true });
  // @ts-expect-error: what is taken by hand runs through no middleware
  await broker.subscribe({ list: 'a', middlewares: [] });

  // @ts-expect-error: a handler is a function
  broker.subscriber('a', {}, 'handler');
}

/** Pairs of which one is in the address and one beside it, or both beside it. Those of a broker's or router's own options are refused at run time alone: a constructor cannot tell a literal from a value of a wider type. */
export function split(): void {
  // @ts-expect-error: a batch is no message of a key at a time
  broker.subscriber({ list: 'a', ordered: true }, { batch: true }, handle);
  // @ts-expect-error: both beside the address
  broker.subscriber({ list: 'a' }, { ordered: true, batch: true }, handle);
  // @ts-expect-error: 'ack-first' acknowledges before anything was handled
  broker.subscriber({ list: 'a', reliable: true, ackPolicy: 'ack-first' }, { once: 5 }, handle);
  // @ts-expect-error: 'ack' never delivers again, by a contract
  broker.subscriber(acknowledging, { retry }, handle);
  // @ts-expect-error: a plain list delivers nothing again
  broker.subscriber({ list: 'a' }, { reliable: false, retry }, handle);
  // @ts-expect-error: a sharded channel has one name
  broker.subscriber('logs.{level}', { sharded: true }, handle);
  // @ts-expect-error: a stream of answers to each of a batch
  broker.subscriber(rpc({ list: 'a', batch: true }, streamed), handle);
  // @ts-expect-error: the contract's template has no such parameter
  broker.subscriber(event('logs.{level}', { schema: Order }), (_order, { path }) => path.levl);

  broker.subscriber(acknowledging, { retry, ackPolicy: 'nack-on-error' }, handle);
  broker.subscriber({ list: 'a', ordered: true }, { batch: true, ordered: false }, handle);
  broker.subscriber({ list: 'a', reliable: true, retry }, { ackPolicy: undefined }, handle);
  createApp(new RedisBroker('memory://types', { ackPolicy: policy }));
  createApp(new RedisBroker('memory://types', { ackPolicy: 'ack', retry: false, pause: false }));
  broker.subscriber(event('logs.{level}', { schema: Order }), (_order, { path }) => path.level);
}

/** Every pair of options that the subscriber's checks refuse. */
export function pairs(): void {
  // @ts-expect-error: patterns are for channels
  broker.subscriber({ list: 'a', pattern: true }, handle);
  // @ts-expect-error: sharded channels are channels
  broker.subscriber({ stream: 'a', sharded: true }, handle);
  // @ts-expect-error: a channel has nothing to fetch
  broker.subscriber({ channel: 'a', maxRecords: 5 }, handle);
  // @ts-expect-error: only a batch waits to be full
  broker.subscriber({ list: 'a', maxWait: 5 }, handle);
  // @ts-expect-error: only a batch waits to be full
  broker.subscriber({ list: 'a', batch: false, maxWait: 5 }, handle);
  // @ts-expect-error: a filter chooses for one message
  broker.subscriber({ list: 'a', batch: true, filter: () => true }, handle);
  // @ts-expect-error: a filter chooses for one message, beside the address too
  broker.subscriber({ list: 'a', batch: true }, { filter: () => true }, handle);
  // @ts-expect-error: a consumer is of a group
  broker.subscriber({ stream: 'a', consumer: 'b' }, handle);
  // @ts-expect-error: so is noAck
  broker.subscriber({ stream: 'a', noAck: true }, handle);
  // @ts-expect-error: so is trimming
  broker.subscriber({ stream: 'a', maxlen: 5 }, handle);
  // @ts-expect-error: so is claiming
  broker.subscriber({ stream: 'a', claim }, handle);
  // @ts-expect-error: so is deleting
  broker.subscriber({ stream: 'a', deleteOnAck: true }, handle);
  // @ts-expect-error: without a group nothing is acknowledged
  broker.subscriber({ stream: 'a', retry }, handle);
  // @ts-expect-error: without a group nothing is acknowledged
  broker.subscriber({ stream: 'a', deadLetter }, handle);
  // @ts-expect-error: nor in a list that is not reliable
  broker.subscriber({ list: 'a', retry }, handle);
  // @ts-expect-error: nor in a list that is not reliable
  broker.subscriber({ list: 'a', reliable: false, deadLetter }, handle);
  // @ts-expect-error: nor in a channel
  broker.subscriber({ channel: 'a', retry }, handle);
  // @ts-expect-error: nor with noAck
  broker.subscriber({ stream: 'a', group: 'g', noAck: true, retry }, handle);
  // @ts-expect-error: nor with noAck
  broker.subscriber({ stream: 'a', group: 'g', noAck: true, deadLetter }, handle);
  // @ts-expect-error: nor with noAck
  broker.subscriber({ stream: 'a', group: 'g', noAck: true, claim }, handle);
  // @ts-expect-error: 'ack' never delivers again
  broker.subscriber({ stream: 'a', group: 'g', retry, ackPolicy: 'ack' }, handle);
  // @ts-expect-error: nor does 'ack-first'
  broker.subscriber({ list: 'a', reliable: true, retry, ackPolicy: 'ack-first' }, handle);
  // @ts-expect-error: nor 'manual', beside the address too
  broker.subscriber({ list: 'a', reliable: true, retry }, { ackPolicy: 'manual' }, handle);
  // @ts-expect-error: nor 'reject-on-error'
  broker.subscriber({ stream: 'a', group: 'g', retry, ackPolicy: 'reject-on-error' }, handle);
  // @ts-expect-error: 'nack-on-error' delivers again
  broker.subscriber({ stream: 'a', group: 'g', retry: false, ackPolicy: 'nack-on-error' }, handle);
  // @ts-expect-error: a pause is for what is delivered again
  broker.subscriber({ stream: 'a', group: 'g', pause, ackPolicy: 'ack' }, handle);
  // @ts-expect-error: nor with 'ack-first'
  broker.subscriber({ list: 'a', reliable: true, pause, ackPolicy: 'ack-first' }, handle);
  // @ts-expect-error: nor with 'manual', beside the address too
  broker.subscriber({ list: 'a', reliable: true, pause }, { ackPolicy: 'manual' }, handle);
  // @ts-expect-error: nor with 'reject-on-error'
  broker.subscriber({ stream: 'a', group: 'g', pause, ackPolicy: 'reject-on-error' }, handle);
  // @ts-expect-error: nor without retries
  broker.subscriber({ list: 'a', reliable: true, pause, retry: false }, handle);
  // @ts-expect-error: without a group nothing is acknowledged
  broker.subscriber({ stream: 'a', pause }, handle);
  // @ts-expect-error: nor in a channel
  broker.subscriber({ channel: 'a', deadLetter }, handle);
  // @ts-expect-error: 'nack-on-error' delivers again, in a contract too
  event({ list: 'a', reliable: true, retry: false, ackPolicy: 'nack-on-error' }, { schema: Order });
  // @ts-expect-error: nor with noAck
  broker.subscriber({ stream: 'a', group: 'g', noAck: true, pause }, handle);
  // @ts-expect-error: nor in a list that is not reliable
  broker.subscriber({ list: 'a', pause }, handle);
  // @ts-expect-error: nor in a channel
  broker.subscriber('a', { pause }, handle);
  // @ts-expect-error: a channel keeps no dead letters
  broker.subscriber({ list: 'a', reliable: true, deadLetter: { channel: 'dead' } }, handle);
  // @ts-expect-error: a list of dead letters is not trimmed
  broker.subscriber({ list: 'a', reliable: true, deadLetter: { list: 'b', maxlen: 5 } }, handle);
  // @ts-expect-error: the template has no such parameter
  broker.subscriber('logs.{level}', (_body, { path }) => path.levl);
  // @ts-expect-error: nor has that of a contract's address an other body
  broker.subscriber(place, (order: number) => order);

  broker.subscriber({ list: 'a', reliable: true, retry, deadLetter }, handle);
  broker.subscriber({ stream: 'a', group: 'g', retry, deadLetter, claim, maxlen: 5 }, handle);
  broker.subscriber({ list: 'a', batch: true, maxWait: 5 }, handle);
}

export async function contracts(): Promise<void> {
  // @ts-expect-error: each side has its own timeout
  event({ list: 'a', timeout: 5 }, { schema: Order });
  // @ts-expect-error: and its own pause
  rpc({ list: 'a', pause: 5 }, { request: Order, reply: Order });
  // @ts-expect-error: a list has no group
  event({ list: 'a', group: 'g' }, { schema: Order });
  // @ts-expect-error: a plain list acknowledges nothing
  event({ list: 'a', retry }, { schema: Order });
  // @ts-expect-error: a stream without a group acknowledges nothing
  event({ stream: 'a', claim }, { schema: Order });
  // @ts-expect-error: 'ack' never delivers again
  event({ list: 'a', reliable: true, retry, ackPolicy: 'ack' }, { schema: Order });
  // @ts-expect-error: without pending entries nothing is delivered again
  event({ stream: 'a', group: 'g', noAck: true, retry }, { schema: Order });
  // @ts-expect-error: only a batch waits to be full
  event({ list: 'a', maxWait: 5 }, { schema: Order });
  // @ts-expect-error: one destination
  event({ stream: 'a', list: 'b' }, { schema: Order });
  // @ts-expect-error: there is no such option
  event({ stream: 'a', gruop: 'b' }, { schema: Order });
  // @ts-expect-error: the contract has its schema
  broker.subscriber(place, { schema: Order }, handle);
  // @ts-expect-error: and its reply
  broker.subscriber(place, { reply: Order }, handle);
  // @ts-expect-error: whether it answers, too
  broker.subscriber(place, { noReply: true }, handle);
  // @ts-expect-error: and its address
  broker.subscriber(place, { list: 'b' }, handle);
  // @ts-expect-error: of its kind
  broker.subscriber(place, { group: 'g' }, handle);
  // @ts-expect-error: an answer that fits
  broker.subscriber(place, (order) => order.sku);
  // @ts-expect-error: a stream of items
  broker.subscriber(lines, () => 'line');
  // @ts-expect-error: a contract's options are not for a call
  await broker.publish({ sku: 'a', quantity: 1 }, place, { list: 'b' });
  // @ts-expect-error: options beside the destination are for contracts
  await broker.publish(1, 'a', { headers: {} });
  // @ts-expect-error: a body that fits
  await broker.publish({ sku: 1 }, place);
  // @ts-expect-error: each body of a batch, too
  await broker.publishBatch([{ sku: 1 }], placed);
  // @ts-expect-error: no answers to a batch
  await broker.publishBatch([{ sku: 'a', quantity: 1 }], place);
  // @ts-expect-error: no answers to a pipeline
  broker.pipeline().publish({ sku: 'a', quantity: 1 }, place);
  // @ts-expect-error: everybody gets all messages of a channel
  broker.subscriber({ channel: 'a', rate: { limit: 1, per: 1_000 } }, handle);
  // @ts-expect-error: and of a stream without a group
  broker.subscriber({ stream: 'a', rate: { limit: 1, per: 1_000 } }, handle);
  // @ts-expect-error: in which time
  broker.subscriber({ list: 'a', rate: { limit: 1 } }, handle);
  // @ts-expect-error: a batch is no message of a key at a time
  broker.subscriber({ list: 'a', batch: true, ordered: true }, (_bodies: unknown[]) => {});
  // @ts-expect-error: by a contract, too
  event({ list: 'a', batch: true, ordered: true }, { schema: Order });
  // @ts-expect-error: lanes are for handlers
  await broker.subscribe({ list: 'a', ordered: true });
  // @ts-expect-error: a key is a text
  await broker.publish(1, { stream: 'a', key: 7 });
  // @ts-expect-error: a function makes the keys of a batch, and not of one message
  await broker.publish(1, { stream: 'a', key: () => 'a' });
  // @ts-expect-error: each of which is a text
  await broker.publishBatch([1], { stream: 'a', key: () => 7 });
  // @ts-expect-error: the body of a contract has no such field
  event({ stream: 'a' }, { schema: Order, key: (order) => order.customer });
  // @ts-expect-error: an event is not answered
  await broker.request({ sku: 'a', quantity: 1 }, placed);
  // @ts-expect-error: an event is not answered
  broker.requestMany({ sku: 'a', quantity: 1 }, placed);
  // @ts-expect-error: the contract is on a list
  await broker.gather({ sku: 'a', quantity: 1 }, place);
  // @ts-expect-error: the contract is answered with a stream
  await broker.publish('a', lines);
  // @ts-expect-error: the contract is answered once
  broker.requestMany({ sku: 'a', quantity: 1 }, place);
  // @ts-expect-error: a channel keeps no answers
  await broker.answer('x', { channel: 'a' });
  // @ts-expect-error: an event is not answered
  await broker.answer('x', placed);
  // @ts-expect-error: an answer in many parts is not kept
  await broker.answer('x', rpc({ list: 'a' }, { request: Order, reply: Order, many: true }));
  // @ts-expect-error: 'ack-first' acknowledges before anything was handled
  broker.subscriber({ list: 'a', reliable: true, once: 5, ackPolicy: 'ack-first' }, handle);
  // @ts-expect-error: a plain list acknowledges nothing
  broker.subscriber({ list: 'a', once: 5 }, handle);
  // @ts-expect-error: nor does a stream without a group
  broker.subscriber({ stream: 'a', once: 5 }, handle);
  // @ts-expect-error: nor does a channel
  broker.subscriber({ channel: 'a', once: 5 }, handle);
  // @ts-expect-error: nor does a group with noAck
  broker.subscriber({ stream: 'a', group: 'g', noAck: true, once: 5 }, handle);
  // @ts-expect-error: messages that are taken by hand have no handler
  await broker.subscribe({ list: 'a', reliable: true, once: 5 });
  const asked = rpc('a', { request: z.string(), reply: z.string() });
  // @ts-expect-error: a channel remembers no ids
  await broker.publish('a', { channel: 'a', id: 'x' });
  // @ts-expect-error: nor does the channel of a call
  await broker.request('a', { channel: 'a', id: 'x' });
  // @ts-expect-error: nor does that of a contract
  await broker.publish('a', asked, { id: 'x' });
  // @ts-expect-error: nor does that of an event
  await broker.publish('a', event('a', { schema: z.string() }), { id: 'x' });
  // @ts-expect-error: a call's answer is kept as long as its responder says
  await broker.publish('a', { list: 'a', rpc: true, id: 'x', idWindow: 5 });
  // @ts-expect-error: an answer in many parts is not kept
  broker.requestMany('a', { list: 'a', id: 'x' });
  // @ts-expect-error: nor are many answers
  await broker.gather('a', { channel: 'a', id: 'x' });
  // @ts-expect-error: each message of a batch has an id of its own
  await broker.publishBatch(['a'], { list: 'a', id: 'x' });
  // @ts-expect-error: a misspelt option beside an id
  await broker.publish({ sku: 'a', quantity: 1 }, placed, { id: 'x', hedaers: {} });
  // @ts-expect-error: a publisher's body fits its contract
  await broker.publisher(placed).publish({ sku: 1 });
  // @ts-expect-error: an event is not answered
  await broker.publisher(placed).gather({ sku: 'a', quantity: 1 });
  // @ts-expect-error: an event is not answered with a stream either
  broker.publisher(placed).requestMany({ sku: 'a', quantity: 1 });
  // @ts-expect-error: a list has no several subscribers to ask
  await broker.publisher({ list: 'a' }).gather(1);
  // @ts-expect-error: the publisher has its destination
  await broker.publisher('a').gather(1, { channel: 'b' });
  // @ts-expect-error: a publisher's body fits its schema
  broker.publisher('a', { schema: Order }).requestMany({ sku: 1 });
  // @ts-expect-error: its schema is the contract's
  broker.publisher(placed, { schema: Order });
  // @ts-expect-error: a publisher has one destination
  broker.publisher({ list: 'a', stream: 'b' });
}

export class Forwards {
  // @ts-expect-error: the result is no order
  @publisher(placed)
  @subscriber('a')
  wrong(_body: unknown): number {
    return 1;
  }

  @publisher(placed)
  @subscriber('a')
  right(_body: unknown): Order {
    return { sku: 'a', quantity: 1 };
  }
}

export async function refusedTimes(): Promise<void> {
  const client = broker.clientFor({ place, placed });
  // @ts-expect-error: a call is not sent later
  await broker.publish('a', { list: 'a', rpc: true, delay: 5 });
  // @ts-expect-error: nor is a request
  await broker.request('a', { list: 'a', at: new Date() });
  // @ts-expect-error: nor one that is answered with a stream
  broker.requestMany('a', { list: 'a', delay: 5 });
  // @ts-expect-error: nor a question to all
  await broker.gather('a', { channel: 'a', delay: 5 });
  // @ts-expect-error: its request expires with its timeout
  await broker.request('a', { list: 'a', expires: 5 });
  // @ts-expect-error: nor a call by its contract
  await broker.publish({ sku: 'a', quantity: 1 }, place, { delay: 5 });
  // @ts-expect-error: nor by a client
  await client.place({ sku: 'a', quantity: 1 }, { delay: 5 });
  // @ts-expect-error: a delay is a number
  await broker.publish('a', { list: 'a', delay: '5' });
  // @ts-expect-error: by a contract, too; a date is for 'at'
  await broker.publish({ sku: 'a', quantity: 1 }, placed, { delay: new Date() });
  // @ts-expect-error: a date, or a number
  await broker.publish('a', { list: 'a', at: '2026-01-01' });
  // @ts-expect-error: there is no such option
  await client.placed({ sku: 'a', quantity: 1 }, { dealy: 5 });
  // @ts-expect-error: what is sent later has a handle, and no length yet
  const length: number = await broker.publish('a', { list: 'a', delay: 5 });
  // @ts-expect-error: by a contract, too
  const id: number = await broker.publish({ sku: 'a', quantity: 1 }, placed, { delay: 5 });
  // @ts-expect-error: each of a batch has one
  const all: number = await broker.publishBatch(['a'], { list: 'a', delay: 5 });
  const right: [string, number, string[]] = [
    await client.placed({ sku: 'a', quantity: 1 }, { delay: 5 }),
    await broker.publish('a', { list: 'a', expires: 5 }),
    await broker.publishBatch(['a'], { list: 'a', at: 5 }),
  ];
  // @ts-expect-error: one time
  await broker.publish('a', { list: 'a', delay: 5, at: 5 });
  // @ts-expect-error: one time, of a batch too
  await broker.publishBatch(['a'], { list: 'a', delay: 5, at: new Date() });
  // @ts-expect-error: and of a pipeline
  broker.pipeline().publish('a', { channel: 'a', delay: 5, at: 5 });
  // @ts-expect-error: there is no id to be remembered
  await broker.publish('a', { list: 'a', idWindow: 5 });
  // @ts-expect-error: nor are there ids of a batch
  await broker.publishBatch(['a'], { stream: 'a', idWindow: 5 });
  // @ts-expect-error: a handle is a text
  await broker.cancel({ list: 'a' }, 5);
  void [length, id, all, right];
}

export function givenSeparately(): void {
  const plain = event({ list: 'a' }, { schema: Order });
  const ungrouped = event({ stream: 'a' }, { schema: Order });
  const channel = event('a', { schema: Order });
  const rate = { limit: 1, per: 1_000 };
  // @ts-expect-error: a plain list acknowledges nothing
  broker.subscriber({ list: 'a' }, { retry }, handle);
  // @ts-expect-error: nor does that of a contract
  broker.subscriber(plain, { retry }, handle);
  // @ts-expect-error: so no message is known to be handled
  broker.subscriber(plain, { once: 5 }, handle);
  // @ts-expect-error: nor is any at a list that is made plain
  broker.subscriber({ list: 'a' }, { reliable: false, deadLetter }, handle);
  // @ts-expect-error: nor without a group
  broker.subscriber({ stream: 'a' }, { pause }, handle);
  // @ts-expect-error: nor does that of a contract
  broker.subscriber(ungrouped, { retry }, handle);
  // @ts-expect-error: which trims nothing either
  broker.subscriber(ungrouped, { maxlen: 5 }, handle);
  // @ts-expect-error: and everybody gets all of its messages
  broker.subscriber(ungrouped, { rate }, handle);
  // @ts-expect-error: as on a channel
  broker.subscriber('a', { rate }, handle);
  // @ts-expect-error: by a contract, too
  broker.subscriber(channel, { once: 5 }, handle);
  // @ts-expect-error: a channel has no batches
  broker.subscriber({ channel: 'a' }, { batch: true }, handle);
  // @ts-expect-error: nor a group
  broker.subscriber('a', { group: 'g' }, handle);
  // @ts-expect-error: a list has none either
  broker.subscriber({ list: 'a' }, { group: 'g' }, handle);
  // @ts-expect-error: a list has no consumers to name
  broker.subscriber(plain, { consumer: 'c' }, handle);
  // @ts-expect-error: only lists need to be made reliable
  broker.subscriber({ stream: 'a' }, { reliable: true }, handle);
  // @ts-expect-error: nothing is delivered again with noAck
  broker.subscriber({ stream: 'a', group: 'g', noAck: true }, { retry }, handle);
  // @ts-expect-error: in which time
  broker.subscriber({ list: 'a' }, { rate: { limit: 1 } }, handle);
  // @ts-expect-error: who reads a contract's messages answers by it
  broker.subscriber(place, { noReply: true }, handle);
}

export class GivenSeparately {
  // @ts-expect-error: a plain list acknowledges nothing
  @subscriber({ list: 'a' }, { retry })
  retried(_body: unknown): void {}
}
