// The helper that drives a real browser does what the tests of pages rely on.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it, onTestFinished } from 'vitest';
import { Browser, hasBrowser } from '../support/browser.ts';

const HTML = `<!doctype html><title>t</title><link rel=icon href=data:,>
<input id=name value=old><button id=go>Go</button><p id=out></p>
<img src="http://example.com/x.png">
<script>
  document.querySelector('#go').onclick = () => {
    document.querySelector('#out').textContent = document.querySelector('#name').value + ' ' +
      innerWidth + (matchMedia('(prefers-color-scheme: dark)').matches ? ' dark' : ' light');
    console.error('seen');
  };
</script>`;

describe.skipIf(!hasBrowser)('a browser', () => {
  it('clicks, types, resizes, and tells what it asked for and complained of', async () => {
    const server = createServer((_, response) => {
      response.setHeader('content-type', 'text/html').end(HTML);
    });
    onTestFinished(() => void server.close());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const url = `http://127.0.0.1:${port}/`;
    const browser = await Browser.launch();
    const page = await browser.page({ width: 360, height: 600 });
    await page.prefer('dark');
    await page.goto(url);
    await page.fill('#name', 'new');
    await page.click('#go');
    await page.sees('new 360 dark', '#out');
    await page.resize(800, 600);
    await page.prefer('light');
    await page.evaluate(`document.querySelector('#go').focus()`);
    await page.press('Enter');
    await page.sees('new 800 light');
    expect((await page.screenshot()).subarray(1, 4).toString()).toBe('PNG');
    expect(page.requests.filter((one) => !one.startsWith('data:'))).toEqual([
      url,
      'http://example.com/x.png',
    ]);
    expect(page.errors).toContain('seen');
    await expect(page.evaluate('nothing.at.all')).rejects.toThrow('nothing is not defined');
  });
});
