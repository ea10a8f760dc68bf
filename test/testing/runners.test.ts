// redstart/testing asks nothing of the test runner: here it works under Node's own.
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { compile, workFolder } from '../docs/program.ts';

const PROGRAM = `
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RedisBroker, RpcTimeoutError, subscriber } from 'redstart';
import { testBroker } from 'redstart/testing';

class Prices {
  @subscriber({ list: 'prices' })
  price(sku: string) {
    return \`price of \${sku}\`;
  }
}

test('a call', async () => {
  const broker = new RedisBroker('redis://localhost:1');
  broker.register(new Prices());
  await using tested = await testBroker(broker);
  assert.equal(await broker.publish('A', { list: 'prices', rpc: true }), 'price of A');
  assert.deepEqual(tested.handled(Prices, 'price').map(({ result }) => result), ['price of A']);
  tested.dropNextReply();
  const lost = assert.rejects(broker.publish('A', { list: 'prices', rpc: true }), RpcTimeoutError);
  await tested.advance(31_000);
  await lost;
});
`;

const folder = workFolder();
afterAll(folder.remove);

it('redstart/testing works under node:test', { timeout: 150_000 }, async () => {
  writeFileSync(`${folder.path}/prices.test.ts`, PROGRAM);
  await compile({ 'prices.test': `${folder.path}/prices.test.ts` }, folder.path, 'legacy');
  const { NODE_TEST_CONTEXT: _, ...env } = process.env;
  const options = { encoding: 'utf8', env, timeout: 120_000 } as const;
  const file = `${folder.path}/prices.test.mjs`;
  const { status, stdout } = spawnSync(process.execPath, ['--test', file], options);
  expect({ status, stdout }).toMatchObject({
    status: 0,
    stdout: expect.stringMatching(/pass 1\b/),
  });
});
