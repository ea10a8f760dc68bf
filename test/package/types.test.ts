import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isLong } from '../support/long.ts';
import { Scratch } from './scratch.ts';

/** Exact: a compiler that changes on its own would fail a change that has nothing to do with it. */
const COMPILERS = ['5.9.3', '6.0.3', '7.0.2'];

/** A user's program: right uses that must compile, and wrong ones that must not. */
const PROGRAM = `
import { RedisBroker, RedisResponse, RedisRouter, Response, subscriber } from 'redstart';
import type { BrokerOptions, Message, MessageContext, Middleware } from 'redstart';
import { z } from 'zod';

const Order = z.object({ sku: z.string(), quantity: z.number() });

class Orders {
  @subscriber('prices')
  price(sku: string, ctx: MessageContext): object {
    ctx.logger.info({ id: ctx.message.correlationId }, 'asked');
    return { sku, cents: 1999 };
  }

  @subscriber({ list: 'orders', schema: Order })
  async place(order: z.infer<typeof Order>): Promise<Response> {
    return new Response({ accepted: order.quantity > 0 }, { headers: { 'x-region': 'eu' } });
  }

  @subscriber({ stream: 'shipments', group: 'warehouse', maxRecords: 100 })
  async ship(_body: unknown): Promise<RedisResponse> {
    return new RedisResponse('shipped', { maxlen: 1_000 });
  }

  // @ts-expect-error: the schema gives an order, the method wants a number
  @subscriber({ list: 'orders', schema: Order })
  wrong(_order: number): void {}

  // @ts-expect-error: a channel has no group
  @subscriber({ channel: 'audit', group: 'auditors' })
  audit(_entry: unknown): void {}
}

export async function main(options: BrokerOptions): Promise<void> {
  await using broker = new RedisBroker('memory://', options);
  const time: Middleware = (_message, next) => next();
  broker.use(time);
  broker.include(new RedisRouter());
  broker.register(new Orders());
  await broker.start();
  const receivers: number = await broker.publish('A-1', { channel: 'prices' });
  const id: string = await broker.publish({}, { stream: 'shipments', maxlen: 10 });
  const reply: Message = await broker.request('A-1', { channel: 'prices', timeout: 3_000 });
  const answer: unknown = await broker.publish('A-1', { channel: 'prices', rpc: true });
  // @ts-expect-error: one destination
  await broker.publish('A-1', { channel: 'prices', list: 'orders' });
  // @ts-expect-error: a timeout is of a call
  await broker.publish('A-1', { channel: 'prices', timeout: 3_000 });
  void [receivers, id, reply.body, answer];
}
`;

const scratch = new Scratch();

beforeAll(async () => {
  await scratch.pack();
  const compilers = COMPILERS.map((version) => [`ts-${version}`, `npm:typescript@${version}`]);
  await scratch.install({
    ...(Object.fromEntries(compilers) as Record<string, string>),
    '@types/node': '^20.19.0',
    zod: '^4.0.0',
  });
  for (const [folder, type] of Object.entries({ esm: 'module', cjs: 'commonjs' })) {
    scratch.write(`${folder}/package.json`, { type });
    scratch.write(`${folder}/program.ts`, PROGRAM);
  }
}, 180_000);

afterAll(() => scratch.remove());

const PROJECTS: readonly [title: string, folder: string, resolution: string, legacy: boolean][] = [
  ['with experimentalDecorators', 'esm', 'nodenext', true],
  ['with standard decorators', 'esm', 'nodenext', false],
  ['in a CommonJS program that requires it', 'cjs', 'nodenext', true],
  ['for a bundler', 'esm', 'bundler', false],
];

describe.each(COMPILERS)('the published types under TypeScript %s', (version) => {
  // How a program is compiled is tried with the oldest; the others need 10 s for each.
  const projects = isLong || version === COMPILERS[0] ? PROJECTS : PROJECTS.slice(0, 1);
  it.each(projects)(
    'accept right uses and refuse wrong ones %s',
    async (title, folder, resolution, experimentalDecorators) => {
      const config = `tsconfig-${version}-${title.replaceAll(' ', '-')}.json`;
      scratch.write(config, {
        compilerOptions: {
          target: 'ES2022',
          lib: ['ES2023', 'ESNext.Disposable'],
          module: resolution === 'bundler' ? 'preserve' : resolution,
          moduleResolution: resolution,
          types: ['node'],
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          skipLibCheck: false,
          experimentalDecorators,
          emitDecoratorMetadata: experimentalDecorators,
        },
        include: [folder],
      });
      const tsc = join('node_modules', `ts-${version}`, 'bin', 'tsc');
      expect(await scratch.node([tsc, '--version'])).toContain(version);
      expect(await scratch.node([tsc, '-p', config])).toBe('');
    },
    90_000,
  );
});
