// Other tools read the documents, and draw the page: in `npm run full`, which installs them here.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { CommandLine } from '../cli/command-line.ts';
import { repository } from '../docs/program.ts';
import { goldenNames } from '../integrations/asyncapi-rules.ts';
import { Browser, hasBrowser } from '../support/browser.ts';
import { isLong } from '../support/long.ts';

const folder = repository('test/foreign');
const isInstalled = existsSync(`${folder}/node_modules/@asyncapi/parser`);
if (isLong && !isInstalled)
  process.stderr.write('tests of other tools are skipped: npm ci --prefix test/foreign\n');
const wanted = isLong && isInstalled;

/** What the tools say of a document. */
interface Said {
  readonly diagnostics: string[];
  readonly errors: string[];
  readonly replies: Record<string, { location?: string; messages?: string[] }>;
  readonly models: Record<string, string>;
}

describe.skipIf(!wanted)('AsyncAPI documents', () => {
  let said: Record<string, Said>;
  beforeAll(async () => {
    const files = goldenNames().map((name) => repository(`test/docs/asyncapi/${name}.json`));
    files.push(repository('examples/service/asyncapi.json'));
    const child = spawn(process.execPath, [`${folder}/asyncapi.mjs`, ...files], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
    await new Promise((resolve) => child.once('close', resolve));
    said = JSON.parse(output) as Record<string, Said>;
  });

  it('are valid: @asyncapi/parser has nothing to say, and the schema of the specification fits', () => {
    expect(Object.keys(said)).toEqual([...goldenNames(), 'asyncapi']); // the last one of examples/service
    for (const [name, { diagnostics, errors }] of Object.entries(said))
      expect({ name, diagnostics, errors }).toEqual({ name, diagnostics: [], errors: [] });
  });

  it('have replies that @asyncapi/parser reads as they are meant', () => {
    expect(said['everything']?.replies['Place_an_order']).toEqual({
      location: '$message.header#/reply_to',
      messages: ['reply', 'error.SOLD_OUT', 'error.UNKNOWN_SKU', 'error'].map(
        (name) => `Place_an_order.${name}`,
      ),
    });
  });

  it('of a contract become types of @asyncapi/modelina: request, answer, declared error', () => {
    const models = said['everything']?.models ?? {};
    expect(models['AnOrder']).toContain('private _sku: string;');
    expect(models['PlaceAnOrderDotReply']).toContain('private _order: AnOrder;');
    expect(models['PlaceAnOrderDotErrorDotSoldOut']).toContain("'SOLD_OUT'");
  });
});

describe.skipIf(!wanted || !hasBrowser)('redstart docs serve, in a browser', () => {
  let cli: CommandLine;
  beforeAll(async () => void (cli = await CommandLine.install()));
  afterAll(() => cli.remove());

  it('shows an operation with its reply and errors; try-it sends, and shows the answer', async () => {
    const app = cli.write(
      'app.mjs',
      `import { RedisBroker, rpc } from 'redstart';
      import { z } from 'zod';
      export const price = rpc('prices.{currency}', {
        request: z.object({ sku: z.string() }).meta({ title: 'Question' }),
        reply: z.object({ cents: z.number() }),
        errors: { UNKNOWN_SKU: z.object({ sku: z.string() }) },
      });
      const broker = new RedisBroker('redis://nowhere.invalid:1');
      broker.subscriber(price, { title: 'Price', description: 'What **one** costs.' }, ({ sku }) => {
        if (sku === '<b>none</b>') throw price.error('UNKNOWN_SKU', { sku });
        return { cents: 1999 };
      });
      export default broker;`,
    );
    const port = await freePort();
    const served = cli.start(['docs', 'serve', app, '--port', String(port)], { cwd: folder });
    await served.hears('is shown at');
    const url = `http://127.0.0.1:${port}/`;
    const page = await (await Browser.launch()).page();
    await page.goto(`${url}any/path`);
    // The component has drawn the page, in the place of the plain one.
    await page.until(`!document.querySelector('#plain')`);
    await page.sees('Operation IDPrice');
    await page.sees('What one costs.');
    await page.sees('$message.header#/reply_to');
    // Reply messages are folded.
    await page.evaluate(`[...document.querySelectorAll('button')]
      .find((one) => one.innerText.includes('Expected Reply Messages')).click()`);
    for (const message of ['Price.reply', 'Price.error.UNKNOWN_SKU', 'Price.error'])
      await page.sees(message);

    expect(await page.evaluate(`document.querySelector('#address').value`)).toBe('prices.currency');
    await page.click('#send');
    await page.sees('"cents": 1999', '#answer');
    await page.fill('#body', JSON.stringify({ sku: '<b>none</b>' }));
    await page.click('#send');
    await page.sees('"code": "UNKNOWN_SKU"', '#answer');
    expect(await page.text('#answer')).toContain('<b>none</b>');
    await page.fill('#body', '{');
    await page.click('#send');
    await page.sees('The body is not JSON', '#answer');

    // No request has left this server, and the page's own policy has refused nothing.
    const elsewhere = page.requests.filter(
      (one) => !one.startsWith(url) && !one.startsWith('data:'),
    );
    expect(elsewhere).toEqual([]);
    expect(page.errors).toEqual([]);
    served.process.kill('SIGINT');
    expect((await served.ended).code).toBe(0);
  });
});
