import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BrokerOptions, RedisBroker } from 'redstart';
import { dashboard, toNode, type DashboardOptions } from 'redstart/dashboard';
import { onTestFinished } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { redisUrl, unique } from '../support/redis.ts';

const BASE = 'http://127.0.0.1/anywhere';

/** A broker with a prefix that only this test uses, on Redis, and others beside it. */
export function fleet(url = redisUrl()) {
  const prefix = `${unique('dash')}:`;
  return {
    prefix,
    broker: (options: BrokerOptions = {}) => newBroker(url, { prefix, ...options }),
  };
}

/** What the server answered. */
interface Answered {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // oxlint-disable-next-line typescript/no-explicit-any -- each test says what it expects of it
  readonly json: any;
}

type Query = Readonly<Record<string, string>>;

/** A dashboard, and requests to it as the page makes them. */
export function board(broker: RedisBroker, options: DashboardOptions = {}) {
  const handler = dashboard(broker, { logger: false, ...options });
  const ask = async (
    query: Query = {},
    { method = 'GET', headers = {} }: { method?: string; headers?: Query } = {},
  ): Promise<Answered> => {
    const url = `${BASE}?${new URLSearchParams(query).toString()}`;
    const response = await handler(new Request(url, { method, headers }));
    const text = await response.text();
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch {
      json = undefined; // the page
    }
    return { status: response.status, headers: response.headers, text, json };
  };
  return {
    handler,
    ask,
    act: (query: Query, headers: Query = { 'sec-fetch-site': 'same-origin' }) =>
      ask(query, { method: 'POST', headers }),
    state: async () => (await ask({ view: 'state' })).json,
  };
}

/** Serves a dashboard until the test is over; resolves with where it is. */
export async function serve(own: RedisBroker, options: DashboardOptions = {}): Promise<string> {
  const server = createServer(toNode(dashboard(own, { logger: false, ...options })));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}
