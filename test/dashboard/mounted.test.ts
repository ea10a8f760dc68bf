// The page under a path of Express, Fastify and Hono, as docs/guide/dashboard.md mounts it: no base path is told.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import express from 'express';
import fastify from 'fastify';
import { Hono } from 'hono';
import { toNode } from 'redstart/dashboard';
import { expect, it, onTestFinished } from 'vitest';
import { rawClient } from '../support/redis.ts';
import { board, fleet } from './setup.ts';

type Ask = (path: string, init?: RequestInit) => Response | Promise<Response>;

/** What a mounted dashboard must do: page, data, and an action whose body a framework may have read. Resolves with what came of that. */
async function works(
  mount: (page: ReturnType<typeof board>['handler']) => Ask | Promise<Ask>,
): Promise<unknown> {
  const { broker, prefix } = fleet();
  const own = broker();
  await own.publish('x', { stream: 'jobs:dead' });
  const { handler } = board(own, {
    actions: true,
    authorize: () => 'ann',
    deadLetters: [{ stream: 'jobs:dead' }],
  });
  const ask = await mount(handler);
  for (const path of ['/ops', '/ops/']) {
    const page = await ask(path);
    expect(page.headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(await page.text()).toContain('<!doctype html>');
    expect(await (await ask(`${path}?view=state`)).json()).toMatchObject({
      away: null,
      who: 'ann',
    });
  }
  const name = encodeURIComponent(`${prefix}jobs:dead`);
  const remove = `/ops?do=remove&all=yes&kind=stream&name=${name}`;
  expect((await ask(remove, { method: 'POST' })).status).toBe(403);
  const headers = { 'sec-fetch-site': 'same-origin', 'content-type': 'application/json' };
  const done = await ask(remove, { method: 'POST', headers, body: '{}' });
  expect(await rawClient().xlen(`${prefix}jobs:dead`)).toBe(0);
  return done.json();
}

it('in Express', async () => {
  const done = await works(async (page) => {
    const app = express();
    app.use(express.json());
    app.use('/ops', toNode(page));
    const server = createServer(app);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    const { port } = server.address() as AddressInfo;
    return (path, init) => fetch(`http://127.0.0.1:${port}${path}`, init);
  });
  expect(done).toEqual({ done: 1, left: 0 });
});

it('in Fastify', async () => {
  const done = await works(async (page) => {
    const app = fastify();
    const node = toNode(page);
    await app.register(
      (scope, _, done) => {
        scope.all('/', (request, reply) => {
          reply.hijack();
          node(request.raw, reply.raw);
        });
        done();
      },
      { prefix: '/ops' },
    );
    const url = await app.listen({ port: 0, host: '127.0.0.1' });
    onTestFinished(() => app.close());
    return (path, init) => fetch(url + path, init);
  });
  expect(done).toEqual({ done: 1, left: 0 });
});

it('in Hono', async () => {
  const done = await works((page) => {
    const app = new Hono();
    app.all('/ops/*', (c) => page(c.req.raw));
    return (path, init) => app.request(`http://localhost${path}`, init);
  });
  expect(done).toEqual({ done: 1, left: 0 });
});
