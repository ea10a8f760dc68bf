// The dashboard in a real browser, over two processes. `npm run full`; with REDSTART_SCREENSHOTS=1 it also
// writes the pictures of docs/guide/dashboard.md.
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { DashboardOptions } from 'redstart/dashboard';
import { describe, expect, it, onTestFinished } from 'vitest';
import { repository } from '../docs/program.ts';
import { startProgram } from '../faults/child.ts';
import { Browser, hasBrowser, type Page } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/fault-proxy.ts';
import { takeLogs } from '../support/logs.ts';
import { ownServer, rawClient, redisUrl } from '../support/redis.ts';
import { fleet, serve } from './setup.ts';

const ALLOWED: DashboardOptions = { actions: true, authorize: () => 'ann', title: 'shop' };

const LONG = { timeout: 180_000 };

const isPictured = process.env['REDSTART_SCREENSHOTS'] === '1';

/** Two processes that work, the dashboard in this one, and a page that looks at it. */
async function shop(options = ALLOWED) {
  const { broker, prefix } = fleet();
  const workers = [1, 2].map(() => startProgram('shipping', [redisUrl(), prefix]));
  for (const worker of await Promise.all(workers))
    expect(await worker.next()).toEqual({ ready: true });
  const own = broker();
  const origin = await serve(own, options);
  const browser = await Browser.launch();
  const page = await browser.page({ width: 1000, height: 720 });
  await page.goto(`${origin}/ops/redstart`);
  await page.sees('warehouse');
  return { own, prefix, origin, browser, page };
}

/** The text of a cell in the row of a place. */
function cell(place: string, label: string): string {
  return `[...document.querySelectorAll('tr')].find((row) => row.querySelector('a')?.textContent === '${place}')?.querySelector('[data-l="${label}"]')?.innerText.trim()`;
}

async function clickText(page: Page, tag: string, text: string): Promise<void> {
  await page.until(`(() => {
    const found = [...document.querySelectorAll('${tag}')].find((one) => one.textContent === ${JSON.stringify(text)});
    found?.click();
    return !!found;
  })()`);
}

/** Clicks a button in the row that has a text, when it is there. */
async function clickInRow(page: Page, text: string, selector: string): Promise<void> {
  await page.until(`(() => {
    const row = [...document.querySelectorAll('tr')].find((one) => one.innerText.includes(${JSON.stringify(text)}));
    const found = row?.querySelector(${JSON.stringify(selector)});
    found?.click();
    return !!found;
  })()`);
}

async function picture(page: Page, name: string): Promise<void> {
  if (!isPictured) return;
  const folder = repository('docs/images');
  mkdirSync(folder, { recursive: true });
  writeFileSync(`${folder}/dashboard-${name}.png`, await page.screenshot());
}

/** Everything that the page has asked for was its own, and it has complained of nothing. */
function expectClean(page: Page, origin: string): void {
  expect(page.errors).toEqual([]);
  expect(page.requests.length).toBeGreaterThan(0);
  expect(page.requests.filter((url) => !url.startsWith(`${origin}/`) && url !== 'data:,')).toEqual(
    [],
  );
}

describe.skipIf(!hasBrowser)('the dashboard in a browser', () => {
  it(
    'shows live numbers; a dead letter is found by its error, shown decoded, redriven, gone',
    LONG,
    async () => {
      const { own, prefix, origin, page } = await shop();
      for (let parcel = 1; parcel <= 12; parcel++) {
        const body = { parcel, to: '<img src=x onerror=alert(1)><b>Ann</b>', password: 'hunter2' };
        await own.publish(body, { stream: 'shipments', headers: { 'x-region': 'eu' } });
      }
      // Numbers move while more comes.
      const timer = setInterval(() => void own.publish({ n: 1 }, { list: 'orders' }), 25);
      onTestFinished(() => clearInterval(timer));
      await page.until(`Number(${cell('orders', 'Handled/s')}) > 1`);
      await page.until(`${cell('orders', 'State')} === 'running × 2'`);
      await picture(page, 'light');
      clearInterval(timer);
      await page.until(`Number(${cell('orders', 'Handled/s')}) === 0`);

      await clickText(page, 'a', 'shipments:dead');
      await page.sees('TypeError: no shelf for ‹…›');
      await page.sees('RangeError: parcel # is too large');
      await clickText(page, 'a', 'TypeError: no shelf for ‹…›');
      await page.sees('The newest of: TypeError');
      await page.until(`document.querySelectorAll('details').length === 2`);
      await page.click('details summary');
      await page.sees('"parcel": '); // 6 or 12: two processes buried them
      await page.sees('x-region');
      const text = await page.text();
      // Markup stays text, and secrets stay here.
      expect(text).toContain('<img src=x onerror=alert(1)><b>Ann</b>');
      expect(
        await page.evaluate(`document.querySelectorAll('main img, main details b').length`),
      ).toBe(0);
      expect(text).toContain('"password": "‹redacted›"');
      expect(await page.evaluate('document.documentElement.outerHTML')).not.toContain('hunter2');
      await picture(page, 'letters');

      for (let i = 0; i < 2; i++) await own.publish(null, { channel: 'recover' });
      await clickInRow(page, 'TypeError', '[data-do=redrive]');
      await page.sees('Send the 2 dead letters of this error back', 'dialog');
      await page.click('#ask-yes');
      await page.sees('2 messages sent back');
      await page.until(`!document.querySelector('main').innerText.includes('TypeError: no shelf')`);
      const box = own.deadLetters({ stream: 'shipments:dead' });
      expect((await box.list()).map(({ error }) => error?.slice(0, 10))).toEqual([
        'RangeError',
        'RangeError',
      ]);
      await clickText(page, 'a', 'RangeError: parcel # is too large');
      await clickInRow(page, 'RangeError', '[data-do=remove]');
      await page.click('#ask-yes');
      await page.sees('2 dead letters removed');
      await page.evaluate(`location.hash = ''`);
      await page.sees('There are none');
      expect(await rawClient().xlen(`${prefix}shipments:dead`)).toBe(0);
      expectClean(page, origin);
    },
  );

  it('pauses and resumes over all processes, by the keyboard alone', LONG, async () => {
    const { own, prefix, origin, page } = await shop();
    const focused = `document.activeElement`;
    const tabTo = async (test: string): Promise<void> => {
      for (let i = 0; i < 60; i++) {
        await page.press('Tab');
        if (await page.evaluate(`!!(${test})`)) return;
      }
      throw new Error(`the keyboard does not come to: ${test}`);
    };
    const inOrders = `${focused}.closest('tr')?.querySelector('a').textContent === 'orders'`;
    // The first buttons lead to the parts of the page.
    await tabTo(`${focused}.dataset.to === 'processes'`);
    expect(await page.text('main')).toMatch(/3 places\n0 dead letters\n2 processes/);
    await page.press('Enter');
    expect(await page.evaluate(`${focused}.id`)).toBe('processes');
    await page.press('/');
    expect(await page.evaluate(`${focused}.id`)).toBe('filter');
    await page.fill('#filter', 'orders');
    await page.until(`document.querySelectorAll('main tbody tr[data-key^="list"]').length === 1`);
    await tabTo(`${focused}.dataset.do === 'pause' && ${inOrders}`);
    const outline = await page.evaluate(`getComputedStyle(${focused}).outlineStyle`);
    expect(outline).toBe('solid');
    await page.press('Enter');
    await page.sees('Pause orders in 2 processes?', 'dialog');
    await tabTo(`${focused}.dataset.answer === 'yes'`);
    await page.press('Enter');
    await page.until(`${cell('orders', 'State')} === 'paused × 2'`);
    // Nobody takes it, in neither process.
    await own.publish(1, { list: 'orders' });
    await page.until(`${cell('orders', 'Waiting')} === '1'`);
    const client = rawClient();
    expect(await client.llen(`${prefix}orders`)).toBe(1);
    await tabTo(`${focused}.dataset.do === 'resume' && ${inOrders}`);
    await page.press('Enter');
    await page.until(`${cell('orders', 'State')} === 'running × 2'`);
    await eventually(async () => expect(await client.llen(`${prefix}orders`)).toBe(0));

    // A dialog is left, and a view, by Escape.
    await tabTo(`${focused}.dataset.do === 'pause' && ${inOrders}`);
    await page.press('Enter');
    await page.until(`document.querySelector('dialog').open`);
    await page.press('Escape');
    await page.until(`!document.querySelector('dialog').open`);
    await tabTo(`${focused}.tagName === 'A' && ${focused}.textContent === 'orders'`);
    await page.press('Enter');
    await page.sees('list orders', 'h2');
    expect(await page.evaluate(`${focused}.id`)).toBe('main');
    await page.press('Escape');
    await page.sees('What is read');
    expectClean(page, origin);
  });

  it('is read in light, in dark, and at 360 px', LONG, async () => {
    const { own, origin, page } = await shop();
    for (let parcel = 1; parcel <= 6; parcel++) {
      const long = `\u202egnp.exe\u009b\u200b${'x'.repeat(300)}`;
      await own.publish({ parcel, long }, { stream: 'shipments', headers: { 'x-long': long } });
    }
    await page.sees('shipments:dead');
    const colours = async (): Promise<unknown> =>
      page.evaluate(
        `(() => { const { color, backgroundColor } = getComputedStyle(document.body); return { color, backgroundColor }; })()`,
      );
    await page.prefer('light');
    expect(await colours()).toEqual({
      color: 'rgb(27, 31, 36)',
      backgroundColor: 'rgb(255, 255, 255)',
    });
    await page.prefer('dark');
    expect(await colours()).toEqual({
      color: 'rgb(230, 237, 243)',
      backgroundColor: 'rgb(15, 20, 25)',
    });
    await page.resize(360, 780);
    const fits = `document.documentElement.scrollWidth <= 360`;
    expect(await page.evaluate(fits)).toBe(true);
    await picture(page, 'narrow');
    await clickText(page, 'a', 'shipments:dead');
    await page.sees('The newest');
    await page.evaluate(
      `document.querySelectorAll('details').forEach((one) => { one.open = true; })`,
    );
    expect(await page.evaluate(fits)).toBe(true);
    await page.evaluate(`location.hash = ''`);
    await clickText(page, 'a', 'shipments');
    await page.sees('Consumers in Redis');
    await page.sees('bytes');
    await page.evaluate(
      `document.querySelectorAll('details').forEach((one) => { one.open = true; })`,
    );
    expect(await page.evaluate(fits)).toBe(true);
    // What is not seen, and what turns the order of letters, is told, in headers and in bodies.
    for (const element of ['td', 'pre'])
      await page.until(
        `[...document.querySelectorAll('${element}')].some(({ innerText }) => innerText.includes(${JSON.stringify('\\u202egnp.exe\\u009b\\u200b')}))`,
      );
    expectClean(page, origin);
  });

  it(
    'another site can do nothing, and the page shows no button without the right',
    LONG,
    async () => {
      const { own, origin, page, browser } = await shop();
      for (let parcel = 3; parcel <= 6; parcel += 3)
        await own.publish({ parcel }, { stream: 'shipments' });
      const box = own.deadLetters({ stream: 'shipments:dead' });
      await eventually(async () => expect(await box.count()).toBe(2));
      // The same machine by another name is another site.
      const evil = createServer((_, response) => response.end('<!doctype html><p>evil</p>'));
      await new Promise<void>((resolve) => evil.listen(0, '127.0.0.1', resolve));
      onTestFinished(() => void evil.close());
      const there = await browser.page();
      await there.goto(`http://localhost:${(evil.address() as AddressInfo).port}/`);
      const name = encodeURIComponent(`${own.prefix}shipments:dead`);
      const target = `${origin}/?do=remove&all=yes&kind=stream&name=${name}`;
      await there.evaluate(
        `fetch('${target}', { method: 'POST', mode: 'no-cors', credentials: 'include' }).then(() => 1, () => 0)`,
      );
      await there.evaluate(
        `(() => { const form = document.body.appendChild(document.createElement('form')); form.method = 'post'; form.action = '${target}'; form.submit(); })()`,
      );
      await there.until(`location.href.startsWith('${origin}')`);
      await there.sees('this request comes from elsewhere (Sec-Fetch-Site: cross-site)');
      expect(await box.count()).toBe(2);

      expect(await page.evaluate(`document.querySelectorAll('[data-do]').length > 0`)).toBe(true);
      await page.goto(await serve(own, { title: 'shop' }));
      await page.sees('for looking only');
      await page.sees('shipments:dead');
      expect(await page.evaluate(`document.querySelectorAll('[data-do]').length`)).toBe(0);
    },
  );

  it('heals by itself when Redis is there again', LONG, async () => {
    const server = await ownServer();
    const proxy = await FaultProxy.to(server.port);
    const { broker } = fleet(proxy.url);
    const own = broker();
    own.subscriber({ list: 'orders' }, () => {});
    await own.start();
    const browser = await Browser.launch();
    const page = await browser.page();
    await page.goto(await serve(own, ALLOWED));
    await page.sees('orders');
    proxy.cutOff();
    await page.sees('Redis is away');
    await page.sees('The numbers below are old.');
    await page.sees('orders');
    proxy.heal();
    await page.until(`!document.body.innerText.includes('Redis is away')`);
    await page.sees('orders');
    expect(page.requests.length).toBeGreaterThan(2);
    takeLogs();
  });
});
