// The site as `npm run site` builds it. It takes two minutes, so this is part of `npm run full`.
import { execFileSync } from 'node:child_process';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { extname, join } from 'node:path';
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { Browser, hasBrowser } from '../support/browser.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { repository } from './program.ts';

const SITE = repository('build/site');

/** The questions of a new user, in their words, and the page that answers each. */
const QUESTIONS: readonly [question: string, page: RegExp][] = [
  ['limit concurrency per customer', /questions#how-do-i-limit-concurrency/],
  ['see how many messages wait', /questions#how-do-i-see-how-many-messages-wait/],
  ['delay a message', /questions#how-do-i-delay-a-message|guide\/time/],
  ["change a message's schema without downtime", /questions#how-do-i-change-a-message-s-schema/],
  ['replay a stream from yesterday', /questions#how-do-i-replay-a-stream/],
  ['pause a consumer', /questions#how-do-i-pause-a-consumer/],
  ['run one handler at a time across all replicas', /questions#how-do-i-run-one-handler/],
  ['secure it (TLS, ACL)', /questions#how-do-i-secure-it|connections#(tls|rights)/],
  ['run it on Cluster, ElastiCache, Upstash, Valkey, Dragonfly', /deployment#redis/],
  ['test', /guide\/testing/],
  ['call one specific instance', /questions#how-do-i-call-one-specific-instance/],
  ['share a connection', /questions#how-do-i-share-a-connection/],
  ['version contracts', /questions#how-do-i-version-contracts/],
  ['trace a request', /questions#how-do-i-trace-a-request|guide\/tracing/],
  ['get metrics', /guide\/metrics/],
  ['prioritise', /questions#how-do-i-prioritise/],
  ['rate-limit', /questions#how-do-i-rate-limit/],
  ['make it idempotent', /questions#how-do-i-make-a-handler-idempotent|guide\/identity/],
  ['inspect and redrive dead letters', /delivery#dead-letters|questions#how-do-i-inspect/],
  ['deploy on Kubernetes (probes, SIGTERM)', /deployment#kubernetes/],
  ['log with pino and a correlation id', /questions#how-do-i-log-with-pino/],
  ['send 10 MB bodies', /questions#how-do-i-send-bodies/],
  ['keep order', /questions#how-do-i-keep-order|guide\/order/],
  ['What happens when Redis is full', /questions#what-happens-when-redis-is-full/],
  ['How does it compare with X', /questions#how-does-it-compare|guide\/comparison/],
  ['Is there an API reference', /questions#is-there-an-api-reference/],
  ['What is the oldest Redis', /questions#what-is-the-oldest-redis|deployment#redis/],
];

interface Index {
  search(words: string): readonly { readonly id: string }[];
}

/** The index that the site's own search uses, with the options that it uses. */
async function searchIndex(): Promise<Index> {
  const chunks = join(SITE, 'assets/chunks');
  const file = readdirSync(chunks).find((name) => name.startsWith('@localSearchIndexroot'));
  const { default: json } = (await import(join(chunks, file as string))) as { default: string };
  const module = repository('site/node_modules/minisearch/dist/es/index.js');
  const { default: MiniSearch } = (await import(module)) as {
    default: { loadJSON(json: string, options: object): Index };
  };
  const searchOptions = { fuzzy: 0.2, prefix: true, boost: { title: 4, text: 2, titles: 1 } };
  const fields = { fields: ['title', 'titles', 'text'], storeFields: ['title', 'titles'] };
  return MiniSearch.loadJSON(json, { ...fields, searchOptions });
}

/** Serves the built site on this machine, as any host of static files does. */
async function served(): Promise<string> {
  const types: Record<string, string> = { '.html': 'text/html', '.js': 'text/javascript' };
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://x').pathname);
    const found = [path, `${path}.html`, `${path}/index.html`, `${path}index.html`]
      .map((name) => join(SITE, name))
      .find((name) => extname(name) !== '' && existsSync(name));
    if (found === undefined) return void response.writeHead(404).end();
    response.writeHead(200, { 'content-type': types[extname(found)] ?? 'text/css' });
    return void response.end(readFileSync(found));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe.runIf(isLong)('the site', () => {
  beforeAll(() => {
    execFileSync(process.execPath, [repository('scripts/site.mjs')], {
      cwd: repository('.'),
      stdio: 'ignore',
    });
  }, 600_000);

  it('answers every question of a new user, in their words, among the first three that its search finds', async () => {
    const index = await searchIndex();
    for (const [question, page] of QUESTIONS) {
      const found = index.search(question).slice(0, 3);
      expect(`${question}: ${found.map(({ id }) => id).join(' ')}`).toMatch(page);
    }
  });

  it('has the reference of every entry, and llms.txt', () => {
    for (const entry of ['index', 'testing', 'integrations/metrics', 'integrations/nestjs'])
      expect(existsSync(join(SITE, 'reference', entry))).toBe(true);
    expect(readFileSync(join(SITE, 'llms.txt'), 'utf8')).toContain('redstart');
  });

  it.runIf(hasBrowser)('opens in a browser, searches, and asks no other machine', async () => {
    const url = await served();
    const page = await (await Browser.launch()).page();
    await page.goto(`${url}/guide/questions`);
    await page.sees('How do I delay a message?');
    // A click on a page whose scripts have not begun does nothing.
    await eventually(async () => {
      if (await page.evaluate(`document.querySelector('.VPLocalSearchBox') !== null`)) return true;
      await page.click('.VPNavBarSearch button');
      await new Promise((resolve) => setTimeout(resolve, 500)); // for the box to open
      return false;
    });
    await page.fill('.VPLocalSearchBox input', 'redrive dead letters');
    await page.sees('How do I inspect and redrive dead letters?', '.VPLocalSearchBox .results');
    // An icon in a style is a `data:` URL, which reaches no machine.
    const elsewhere = page.requests.filter((request) => !request.startsWith('data:'));
    expect(elsewhere.filter((request) => !request.startsWith(url))).toEqual([]);
  });
});
