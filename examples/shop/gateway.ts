// The gateway: HTTP in, calls out. It has no state, and knows the other services by their contracts alone.
import { randomUUID } from 'node:crypto';
import fastify, { type FastifyInstance } from 'fastify';
import {
  IdConflictError,
  InvalidMessageError,
  RedstartError,
  RpcError,
  type RedisBroker,
} from 'redstart';
import { redstart } from 'redstart/fastify';
import { findOrder, payInvoice, placeOrder, type NewOrder } from './contracts.ts';

/** What a caller of the gateway can do about an error of a call. */
function statusOf(error: unknown): number {
  if (error instanceof InvalidMessageError) return 400;
  if (error instanceof IdConflictError) return 409; // the same key for another order
  if (error instanceof RpcError) return error.code.startsWith('UNKNOWN') ? 404 : 409;
  return error instanceof RedstartError ? 503 : 500; // 503: the same request may be sent again
}

/** Milliseconds in which a call ends, and with it the calls that services make for it. */
const timeout = 5_000;

export function newGateway(broker: RedisBroker): FastifyInstance {
  const app = fastify();
  app.register(redstart, { broker });
  const shop = broker.clientFor({ placeOrder, findOrder, payInvoice });

  // The schema of the contract checks the body before anything is sent.
  app.post<{ Body: Omit<NewOrder, 'orderId'> }>('/orders', async (request, reply) => {
    const key = request.headers['idempotency-key'];
    const orderId = typeof key === 'string' ? key : randomUUID();
    const order = await shop.placeOrder({ ...request.body, orderId }, { id: orderId, timeout });
    return reply.code(201).send(order);
  });

  app.get<{ Params: { orderId: string } }>('/orders/:orderId', ({ params }) =>
    shop.findOrder(params, { timeout }),
  );

  app.post<{ Params: { orderId: string } }>('/orders/:orderId/payment', ({ params }) =>
    shop.payInvoice(params, { id: params.orderId, timeout }),
  );

  app.setErrorHandler((error, _request, reply) => {
    const status = statusOf(error);
    if (status === 500) return reply.send(error);
    const { code, message, data } = error as RpcError;
    // What has failed inside is nothing for the outside.
    return reply.code(status).send(status === 503 ? { code } : { code, message, data });
  });
  return app;
}
