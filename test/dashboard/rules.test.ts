// The rules of the dashboard, request by request: what is refused, what is hidden, what is on every response.
import { SetupError } from 'redstart';
import { dashboard, type DashboardOptions } from 'redstart/dashboard';
import { describe, expect, it, onTestFinished, vi } from 'vitest';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, unique } from '../support/redis.ts';
import { board, fleet } from './setup.ts';

const ALLOWED: DashboardOptions = { actions: true, authorize: () => 'ann' };

const ACTIONS = ['pause', 'resume', 'redrive', 'remove'] as const;

/** A dead letter in `<prefix>jobs:dead`, of a broker that runs. */
async function withLetters(bodies: readonly unknown[] = [1]) {
  const { broker, prefix } = fleet();
  const worker = broker({ control: true });
  worker.subscriber({ stream: 'jobs', group: 'g', retry: false }, (body: unknown) => {
    throw new TypeError(`no ${JSON.stringify(body)}`);
  });
  await worker.start();
  for (const body of bodies) await worker.publish(body, { stream: 'jobs' });
  const box = worker.deadLetters({ stream: 'jobs:dead' });
  await eventually(async () => expect(await box.count()).toBe(bodies.length));
  takeLogs();
  return { worker, broker, prefix, box, at: { kind: 'stream', name: `${prefix}jobs:dead` } };
}

describe('without actions', () => {
  it.each(ACTIONS)('%s is refused by the server', async (action) => {
    const { worker, box, at } = await withLetters();
    const { act } = board(worker);
    const refused = await act({ do: action, all: 'yes', ...at });
    expect(refused).toMatchObject({ status: 405, json: { error: expect.any(String) } });
    expect(refused.headers.get('allow')).toBe('GET, HEAD');
    expect(await box.count()).toBe(1);
  });

  it('actions without authorize is a mistake', () => {
    const broker = newBroker('memory://');
    expect(() => dashboard(broker, { actions: true })).toThrow(SetupError);
    expect(() => dashboard(broker, { actions: true })).toThrow(/'actions' needs 'authorize'/);
  });

  it('the page is told that there are none', async () => {
    const { worker } = await withLetters();
    expect(await board(worker).state()).toMatchObject({ actions: [], who: '' });
  });
});

describe('authorize', () => {
  it.each(ACTIONS)('refuses %s where it says so', async (action) => {
    const { worker, box, at } = await withLetters();
    const { act } = board(worker, { actions: true, authorize: (_, what) => what === 'look' });
    const refused = await act({ do: action, all: 'yes', ...at });
    expect(refused).toMatchObject({
      status: 403,
      json: { error: `you are not allowed to ${action}` },
    });
    expect(await box.count()).toBe(1);
  });

  it('is asked for looking, too', async () => {
    const { worker, at } = await withLetters();
    const asked: string[] = [];
    const { ask } = board(worker, {
      authorize: (request, action) => {
        asked.push(action);
        return request.headers.get('x-key') === 'k';
      },
    });
    const queries: Record<string, string>[] = [
      {},
      { view: 'state' },
      { view: 'letters', ...at },
      { view: 'messages', ...at },
    ];
    for (const query of queries) {
      expect((await ask(query)).status).toBe(403);
      expect((await ask(query, { headers: { 'x-key': 'k' } })).status).toBe(200);
    }
    expect(new Set(asked)).toEqual(new Set(['look']));
  });

  it.each([false, undefined, null, 0, '', 1, {}])('%o refuses', async (answer) => {
    const { worker } = await withLetters([]);
    const { ask } = board(worker, { authorize: () => answer as never });
    expect((await ask()).status).toBe(403);
  });

  it('refuses where it throws, and that is logged', async () => {
    const { worker } = await withLetters([]);
    const lines: string[] = [];
    const note = (_: unknown, line = ''): void => void lines.push(line);
    const { ask } = board(worker, {
      authorize: () => Promise.reject(new Error('directory is down')),
      logger: { debug() {}, info: note, warn: note, error: note },
    });
    const refused = await ask();
    expect(refused.status).toBe(403);
    expect(refused.text).not.toContain('directory');
    expect(lines).toEqual(["authorize failed, so 'look' was refused"]);
  });

  it('names who does something: in the log here, and of the process that is paused', async () => {
    const { broker, prefix } = fleet();
    const lines: string[] = [];
    const note = (_: unknown, line = ''): void => void lines.push(line);
    const logger = { debug() {}, info: note, warn: note, error: note };
    const worker = broker({ control: true, logger });
    worker.subscriber({ list: 'jobs' }, function job() {});
    await worker.start();
    const { act } = board(worker, { ...ALLOWED, authorize: () => 'ann\n\u001b[2J', logger });
    await act({ do: 'pause', kind: 'list', name: `${prefix}jobs` });
    expect(lines).toEqual([
      `control: list '${prefix}jobs' (job) is paused by ann[2J (dashboard)`,
      `ann[2J: pause at list '${prefix}jobs'`,
    ]);
  });
});

it('the lines on stderr of what is done and what fails hold nothing that a terminal obeys', async () => {
  const { worker, prefix } = await withLetters([]);
  const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  onTestFinished(() => written.mockRestore());
  const { act, ask } = board(worker, {
    ...ALLOWED,
    authorize: (_, action) => {
      if (action === 'resume') throw new Error('no directory \u009b2J');
      return 'ann';
    },
    logger: undefined,
  });
  const name = `${prefix}x\u001b[2J\u009b31m\u202e\nredstart dashboard: bob`;
  expect((await act({ do: 'pause', kind: 'list', name })).status).toBe(200);
  expect((await act({ do: 'resume', kind: 'list', name })).status).toBe(403);
  expect((await ask({ view: 'state' })).status).toBe(200);
  const lines = written.mock.calls.map(([line]) => String(line));
  expect(lines).toHaveLength(2);
  for (const line of lines) {
    // oxlint-disable-next-line no-control-regex -- these are what is looked for
    expect(line).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    expect(line.indexOf('\n')).toBe(line.length - 1);
  }
  expect(lines[0]).toContain(`ann: pause at list '${prefix}x\\u001b[2J\\u009b31m\\u202e\\u000ared`);
  expect(lines[1]).toContain('Error: no directory \\u009b2J'); // not {}
});

describe('a request from another site', () => {
  it.each([
    ['cross-site', { 'sec-fetch-site': 'cross-site' }],
    ['same-site', { 'sec-fetch-site': 'same-site' }],
    ['none', { 'sec-fetch-site': 'none' }],
    ['a foreign Origin', { origin: 'https://evil.example', host: 'shop.example' }],
    ['no Origin at all', {}],
    ['an Origin that is none', { origin: 'null', host: 'shop.example' }],
    [
      'a foreign site that claims the Origin',
      { 'sec-fetch-site': 'cross-site', origin: 'https://shop.example', host: 'shop.example' },
    ],
  ] as const)('is refused: %s', async (_, headers) => {
    const { worker, box, at } = await withLetters();
    const { act } = board(worker, ALLOWED);
    for (const action of ACTIONS)
      expect((await act({ do: action, all: 'yes', ...at }, headers)).status).toBe(403);
    expect(await box.count()).toBe(1);
  });

  it('may come from the page itself, also where the browser sends no Sec-Fetch-Site', async () => {
    const { worker, box, at } = await withLetters();
    const { act } = board(worker, ALLOWED);
    const headers = { origin: 'http://shop.example:8080', host: 'shop.example:8080' };
    expect(await act({ do: 'remove', all: 'yes', ...at }, headers)).toMatchObject({
      status: 200,
      json: { done: 1, left: 0 },
    });
    expect(await box.count()).toBe(0);
  });

  it('cannot read data', async () => {
    const { worker } = await withLetters();
    const { ask } = board(worker);
    for (const site of ['cross-site', 'same-site'])
      expect((await ask({ view: 'state' }, { headers: { 'sec-fetch-site': site } })).status).toBe(
        403,
      );
  });
});

describe('every response', () => {
  it('may not be kept, framed, or taken for something else', async () => {
    const { worker, at } = await withLetters();
    const { ask, act } = board(worker);
    const all = [
      await ask(),
      await ask({ view: 'state' }),
      await ask({ view: 'letters', ...at }),
      await ask({ view: 'nothing' }),
      await act({ do: 'remove' }),
    ];
    for (const { headers } of all) {
      expect(headers.get('cache-control')).toBe('no-store');
      expect(headers.get('x-content-type-options')).toBe('nosniff');
      expect(headers.get('x-frame-options')).toBe('DENY');
      expect(headers.get('cross-origin-resource-policy')).toBe('same-origin');
    }
    expect(all.map(({ status }) => status)).toEqual([200, 200, 200, 400, 405]);
  });

  it('the page lets only its own script and style run, by a nonce that is new each time', async () => {
    const { worker } = await withLetters([]);
    const { ask } = board(worker);
    const pages = [await ask(), await ask()];
    const nonces = pages.map(({ headers, text }) => {
      const policy = headers.get('content-security-policy') ?? '';
      const [, nonce = ''] = /script-src 'nonce-([^']+)'/.exec(policy) ?? [];
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain(`style-src 'nonce-${nonce}'`);
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).toContain("base-uri 'none'");
      expect(policy).not.toContain('unsafe');
      const tags = [...text.matchAll(/<(?:script|style)\b[^>]*>/g)].map(([tag]) => tag);
      expect(tags).toEqual([`<style nonce="${nonce}">`, `<script nonce="${nonce}">`]);
      return nonce;
    });
    expect(Buffer.from(nonces[0] ?? '', 'base64')).toHaveLength(16);
    expect(nonces[0]).not.toBe(nonces[1]);
  });

  it('the page has less than 60 KB and names no other address', async () => {
    const { worker } = await withLetters([]);
    const { text, headers } = await board(worker, { title: '<shop> & "co"' }).ask();
    expect(headers.get('content-type')).toBe('text/html; charset=utf-8');
    expect(Buffer.byteLength(text)).toBeLessThan(60_000);
    expect(text).not.toMatch(/https?:|\/\/[a-z]|\bsrc=|@import|url\(/);
    expect(text).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b/);
    expect(text).toContain('<title>&lt;shop&gt; &amp; &quot;co&quot;</title>');
  });

  it('other methods are refused', async () => {
    const { worker } = await withLetters([]);
    for (const method of ['PUT', 'DELETE', 'PATCH', 'OPTIONS'])
      expect((await board(worker).ask({}, { method })).status).toBe(405);
    expect((await board(worker).ask({}, { method: 'HEAD' })).status).toBe(200);
  });
});

describe('secrets', () => {
  const SECRETS = {
    password: 'hunter2-a',
    user: { apiKey: 'hunter2-b', list: [{ access_token: 'hunter2-c' }] },
    url: 'redis://admin:hunter2-d@host/0',
    note: 'Authorization: Bearer hunter2-e.long',
    text: 'password=hunter2-f; next',
    jwt: 'eyJhbGciOi.eyJodW50ZXIy.hunter2-g',
    card: { cvv: 'hunter2-h' },
    open: 'this stays',
  };

  async function withSecrets(options: DashboardOptions = {}) {
    const { broker, prefix } = fleet();
    const worker = broker();
    worker.subscriber({ stream: 'jobs', group: 'g', retry: false }, () => {
      throw new Error('cannot reach redis://admin:hunter2-i@host, token=hunter2-j');
    });
    await worker.start();
    const headers = {
      authorization: 'hunter2-k',
      'x-api-key': 'hunter2-l',
      'x-open': 'stays, too',
    };
    await worker.publish(SECRETS, { stream: 'jobs', headers });
    await eventually(async () =>
      expect(await worker.deadLetters({ stream: 'jobs:dead' }).count()).toBe(1),
    );
    takeLogs();
    const { ask } = board(worker, options);
    const at = { kind: 'stream', name: `${prefix}jobs` };
    const letters = await ask({ view: 'letters', ...at, name: `${at.name}:dead` });
    const messages = await ask({ view: 'messages', ...at });
    expect(letters.json.letters).toHaveLength(1);
    expect(messages.json.messages).toHaveLength(1);
    return letters.text + messages.text;
  }

  it('are hidden in bodies, headers and errors, and the rest stays', async () => {
    const text = await withSecrets();
    expect(text.match(/hunter2-\w/g) ?? []).toEqual([]);
    expect(text).toContain('‹redacted›');
    expect(text.match(/this stays/g)).toHaveLength(2);
    expect(text).toContain('stays, too');
  });

  it('redact hides more, after the rest is hidden', async () => {
    const seen: unknown[] = [];
    const text = await withSecrets({
      redact: (message) => {
        seen.push(message.body);
        return { headers: {}, body: 'nothing to see' };
      },
    });
    expect(JSON.stringify(seen)).not.toContain('hunter2-a');
    expect(text).not.toContain('this stays');
    expect(text).toContain('nothing to see');
  });

  it('a message for which redact throws is not shown', async () => {
    const text = await withSecrets({
      redact: () => {
        throw new Error('oops');
      },
    });
    expect(text).not.toMatch(/this stays|hunter2|oops/);
  });

  it('bodies: false shows none', async () => {
    const text = await withSecrets({ bodies: false });
    expect(text).not.toContain('this stays');
    expect(text).toContain('‹bodies are not shown here›');
  });

  it('redact: false hides nothing', async () => {
    expect(await withSecrets({ redact: false })).toContain('hunter2-a');
  });
});

describe('a request for what is not its own', () => {
  it('is refused outside of the prefix, and nothing is read there', async () => {
    const { worker } = await withLetters();
    const { ask, act } = board(worker, ALLOWED);
    const name = unique('stranger');
    await rawClient().xadd(name, '*', 'a', 'b');
    for (const view of ['letters', 'messages', 'group'])
      expect((await ask({ view, kind: 'stream', name, group: 'g' })).status).toBe(404);
    expect((await act({ do: 'remove', kind: 'stream', name, all: 'yes' })).status).toBe(404);
    expect(await rawClient().xlen(name)).toBe(1);
  });

  it('cannot remove work that waits', async () => {
    const { worker, prefix } = await withLetters();
    await worker.publish('work', { list: 'waiting' });
    const { act } = board(worker, ALLOWED);
    for (const at of [
      { kind: 'list', name: `${prefix}waiting` },
      { kind: 'stream', name: `${prefix}jobs` },
    ])
      expect(await act({ do: 'remove', all: 'yes', ...at })).toMatchObject({
        status: 404,
        json: { error: expect.stringContaining('is no place of dead letters') },
      });
    expect(await rawClient().llen(`${prefix}waiting`)).toBe(1);
  });

  it.each([
    [{ do: 'remove' }],
    [{ do: 'destroy', kind: 'stream', name: 'x' }],
    [{ do: 'remove', kind: 'zset', name: 'x' }],
    [{ do: 'remove', kind: 'stream', name: '' }],
  ])('%o is a bad request', async (query) => {
    const { worker } = await withLetters([]);
    expect((await board(worker, ALLOWED).act(query)).status).toBe(400);
  });

  it('must say which dead letters', async () => {
    const { worker, at, box } = await withLetters();
    expect((await board(worker, ALLOWED).act({ do: 'remove', ...at })).status).toBe(400);
    expect(await box.count()).toBe(1);
  });
});

describe('mistakes', () => {
  const broker = newBroker('memory://', {}, () => undefined);
  it.each([
    [{ action: true }, "there is no option 'action'"],
    [{ actions: 'yes' }, "'actions' must be a boolean"],
    [{ authorize: true }, "'authorize' must be a function"],
    [{ redact: true }, "'redact' must be a function"],
    [{ places: [{ set: 'x' }] }, "'places' must be places such as"],
    [{ deadLetters: [{ channel: 'x' }] }, "'deadLetters' must be lists and streams"],
    [{ logger: true }, "'logger' must be"],
    [null, 'options must be an object'],
  ])('%o', (options, text) => {
    expect(() => dashboard(broker, options as never)).toThrow(SetupError);
    expect(() => dashboard(broker, options as never)).toThrow(text);
  });

  it('no broker', () => {
    expect(() => dashboard({} as never)).toThrow('expected a RedisBroker');
  });
});
