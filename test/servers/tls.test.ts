import { Redis } from 'ioredis';
import { ConnectionError, type RedisConnection } from 'redstart';
import { expect, it, onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { STRUCTURES, everywhere } from '../faults/echo.ts';
import { newBroker } from '../support/broker.ts';
import { tlsServer } from '../support/certificates.ts';
import { eventually } from '../support/eventually.ts';

/** Calls over everything that opens a connection of its own. */
async function callEverything(connection: RedisConnection): Promise<unknown[]> {
  const [service, caller] = [newBroker(connection), newBroker(connection)];
  const places = everywhere(service, (body) => body);
  await service.start();
  return Promise.all(
    STRUCTURES.map((structure) =>
      caller.publish(structure, { ...places[structure], rpc: true, timeout: 10_000 }),
    ),
  );
}

async function failure(connection: RedisConnection): Promise<Error> {
  const broker = newBroker(connection);
  return broker.start().then(
    () => new Error('it started'),
    (error: Error) => error,
  );
}

it('calls travel over TLS, on every connection', async () => {
  const { port, ca } = await tlsServer();
  const connection = { host: 'localhost', port, tls: { ca } };
  expect(await callEverything(connection)).toEqual(STRUCTURES);
});

it('a rediss:// URL speaks TLS, and an authority that is not trusted fails the start by name', async () => {
  const { url, port } = await tlsServer();
  const error = await failure(url);
  expect(error).toBeInstanceOf(ConnectionError);
  expect(error.message).toContain(`localhost:${port}`);
  expect(error.message).toMatch(/certificate/);
});

it('a server that wants a certificate lets in those that have one of its authority', async () => {
  const { port, ca, client } = await tlsServer({ mutual: true });
  const connection = { host: 'localhost', port, tls: { ca, ...client } };
  expect(await callEverything(connection)).toEqual(STRUCTURES);
});

it('a server that wants a certificate keeps out those without one, and says why', async () => {
  const { port, ca, stranger } = await tlsServer({ mutual: true });
  for (const own of [{}, stranger]) {
    const error = await failure({ host: 'localhost', port, tls: { ca, ...own } });
    expect(error).toBeInstanceOf(ConnectionError);
    expect(error.message).toContain(`localhost:${port}`);
    expect(error.message).toMatch(/certificate|unknown ca|ECONNRESET|closed/i);
  }
});

it('a cluster is reached over TLS, with the readers and subscribers that go to its nodes by themselves', async () => {
  const args = ['--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1'];
  const port = String(await freePort());
  const server = await tlsServer({
    mutual: true,
    args: [...args, '--cluster-port', port, '--tls-cluster', 'yes'],
  });
  const redisOptions = { tls: { ca: server.ca, ...server.client } };
  const admin = new Redis({ host: 'localhost', port: server.port, ...redisOptions });
  onTestFinished(() => admin.disconnect());
  await admin.call('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
  await eventually(async () => (await admin.cluster('INFO')).includes('cluster_state:ok'));
  const cluster = [{ host: 'localhost', port: server.port }];
  expect(await callEverything({ cluster, redisOptions })).toEqual(STRUCTURES);
});

it('a server that speaks nothing but TLS fails a plain start soon', async () => {
  const { port } = await tlsServer();
  const began = performance.now();
  const error = await failure(`redis://localhost:${port}`);
  expect(error).toBeInstanceOf(ConnectionError);
  expect(error.message).toContain(`localhost:${port}`);
  // As opposed to never; a busy machine adds seconds.
  expect(performance.now() - began).toBeLessThan(15_000);
});
