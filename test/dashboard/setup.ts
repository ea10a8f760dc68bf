import { dashboard, type DashboardOptions } from 'redstart/dashboard';
import type { BrokerOptions, RedisBroker } from 'redstart';
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
