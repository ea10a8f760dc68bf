// What the commands print for people and for scripts, and that nothing from outside reaches a terminal raw.
import { RedisBroker, type MessageContext } from 'redstart';
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest';
import { groupsOf } from '../../src/cli/letters.ts';
import { columns, cut, cutInside, widthOf } from '../../src/cli/text.ts';
import { stderrLogger } from '../../src/internal/logger.ts';
import { visible, visibleLines } from '../../src/internal/visible.ts';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { CommandLine, inProcess } from './command-line.ts';

let cli: CommandLine;
beforeAll(async () => void (cli = await CommandLine.install()));
afterAll(() => cli.remove());

/** The values on stdout. */
function values(stdout: string): Record<string, unknown>[] {
  const lines = stdout.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** An escape sequence, a C1 control, a change of direction, and half a character. */
const HOSTILE = 'a\u001b[2J\u009b31m\u202eb\ud800\u007f';

describe('text from outside', () => {
  it('is shown without what a terminal obeys', () => {
    expect(visible(HOSTILE)).toBe('a\\u001b[2J\\u009b31m\\u202eb\\ud800\\u007f');
    expect(visible('a\nb\tc')).toBe('a\\u000ab\\u0009c');
    expect(visibleLines('a\n\u001bb\tc')).toBe('a\n\\u001bb\tc');
    expect(visible('Grüße 中文 🙂')).toBe('Grüße 中文 🙂');
  });

  it('is as wide as a terminal shows it', () => {
    expect([widthOf('abc'), widthOf('中文'), widthOf('é'), widthOf('🙂')]).toEqual([3, 4, 1, 2]);
    expect(cut('abcdef', 4)).toBe('abc…');
    expect(cut('中文中文', 4)).toBe('中…');
    expect([cutInside('abcdef', 6), cutInside('abcdef', 5)]).toEqual(['abcdef', 'ab…ef']);
    expect([cutInside('中文中文', 6), cutInside('abcdef', 1)]).toEqual(['中…文', '…']);
    expect([cut('abc', 3), cut('abc', 1), cut('abc', 0)]).toEqual(['abc', '…', '']);
    expect(
      columns([
        ['A', 'N'],
        ['x', 1],
        ['\u001b', 200],
        ['y', '-'],
      ]),
    ).toEqual(['A         N', 'x         1', '\\u001b  200', 'y         -']);
  });

  it('begins no line that looks like one of the command’s own', async () => {
    const { stderr } = await inProcess(['peek', 'x\nredstart: done', 'y\nredstart: done']);
    expect(stderr).toBe(
      "redstart: peek: unexpected 'y\n  redstart: done', expected <address>\nredstart: see 'redstart --help'\n",
    );
  });

  it('does not come through log lines', () => {
    const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    onTestFinished(() => written.mockRestore());
    stderrLogger.error({ err: new Error(HOSTILE) }, `handler '${HOSTILE}'\nfailed`);
    stderrLogger.info(HOSTILE);
    const lines = written.mock.calls.map(([line]) => String(line));
    expect(lines).toHaveLength(2);
    for (const line of lines) {
      // oxlint-disable-next-line no-control-regex -- these are what is looked for
      expect(line).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e\ud800]/);
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(line).toContain('a\\u001b[2J\\u009b31m\\u202eb');
    }
  });

  it('does not come through names, errors, headers and bodies', async () => {
    const prefix = `${unique()}:`;
    const name = `${prefix}${HOSTILE}`.replace('\ud800', '');
    const broker = newBroker(redisUrl());
    await broker.publish(HOSTILE.replace('\ud800', ''), { list: name, headers: { x: '\u009b2J' } });
    broker.subscriber(`${prefix}fails`, () => {
      throw Object.assign(new Error('\u001b[2J\u009b\nredstart: done'), { code: '\u009b' });
    });
    await broker.start();
    const printed = [
      ['ls', '--prefix', prefix],
      ['ls', '--prefix', prefix, '--json'],
      ['peek', name],
      ['request', `${prefix}fails`, '1'],
      ['peek', `${prefix}\u009bnowhere`],
    ].map(async (args) => cli.run(args));
    for (const { stdout, stderr } of await Promise.all(printed)) {
      // oxlint-disable-next-line no-control-regex -- these are what is looked for
      expect(stdout + stderr).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
      expect(stdout + stderr).toMatch(/\\u00(1b|9b)/);
      // Nor does it begin a line that looks like one of the command's own.
      expect(stdout + stderr).not.toMatch(/^redstart: done/m);
    }
    expect(takeLogs()).toHaveLength(1); // of the handler
  });
});

describe('redstart ls and groups', () => {
  it('list places and groups; what is redstart’s own is left out', async () => {
    const prefix = `${unique()}:`;
    const broker = newBroker(redisUrl(), { prefix });
    broker.subscriber({ stream: 'orders', group: 'mail' }, () => 1);
    broker.subscriber({ list: 'jobs', reliable: true }, () => 1);
    broker.subscriber('prices', () => 1);
    await broker.start();
    await broker.publish(1, { stream: 'orders' });
    await broker.publish(1, { list: 'waiting' });
    await eventually(async () => (await broker.groups('orders').list())[0]?.pending === 0);

    const listed = await cli.run(['ls', '--prefix', prefix, '--json']);
    expect(listed.code).toBe(0);
    expect(values(listed.stdout)).toEqual([
      {
        kind: 'stream',
        name: `${prefix}orders`,
        length: 1,
        added: 1,
        groups: [{ name: 'mail', lag: 0, pending: 0, consumers: 1 }],
      },
      { kind: 'list', name: `${prefix}waiting`, length: 1, added: null, groups: [] },
      { kind: 'channel', name: `${prefix}prices`, length: 1, added: null, groups: [] },
    ]);
    const table = (await cli.run(['ls', '--prefix', prefix])).stdout;
    expect(table).toMatch(/^KIND +NAME +LENGTH +GROUP +LAG +PENDING +CONSUMERS$/m);
    expect(table).toMatch(/orders +1 +mail +0 +0 +1$/m);

    const groups = await cli.run(['groups', 'ls', 'orders', '--prefix', prefix]);
    expect(groups.stdout).toMatch(/^GROUP +LAG .*\n *mail +0 +0 +1 +\d+-\d+\n$/);
  });

  it('a place or a group that does not exist is told of, with 1', async () => {
    const prefix = `${unique()}:`;
    const client = rawClient();
    await client.rpush(`${prefix}list`, 'x');
    await client.xgroup('CREATE', `${prefix}stream`, 'mail', '0', 'MKSTREAM');
    const nowhere: [args: string[], told: string][] = [
      [['ls', '--prefix', `${prefix}no`], `there is nothing that begins with '${prefix}no'`],
      [['groups', 'ls', 'nowhere'], `there is no stream '${prefix}nowhere'`],
      [['groups', 'ls', 'list'], `there is no stream '${prefix}list'`],
      [['groups', 'rm', 'stream', 'x'], "stream 'stream' has no group 'x' (it has: mail)"],
      [['groups', 'seek', 'stream', 'x', '--to', 'end'], "stream 'stream' has no group 'x'"],
      [['peek', 'nowhere'], `there is no list or stream '${prefix}nowhere'`],
      [['dlq', 'ls', 'nowhere'], `there is no stream '${prefix}nowhere'`],
      [['dlq', 'ls', 'list'], 'it is a list, give --list'],
      ...['ls', 'redrive', 'remove'].map((verb): [string[], string] => [
        ['dlq', verb, 'nowhere', '--list', ...(verb === 'ls' ? [] : ['--all'])],
        `there is no list '${prefix}nowhere': it does not exist, or it is empty`,
      ]),
      [['top', '--once', '--prefix', `${prefix}no`], `nothing that begins with '${prefix}no'`],
      [['top', '--json', '--prefix', `${prefix}no`], `nothing that begins with '${prefix}no'`],
    ];
    const said = nowhere.map(([args]) =>
      cli.run(args.includes('--prefix') ? args : [...args, '--prefix', prefix]),
    );
    for (const [i, { code, stdout, stderr }] of (await Promise.all(said)).entries()) {
      expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
      expect(stderr).toContain(nowhere[i]?.[1]);
    }
  });

  it('groups seek moves a group; groups rm takes --force while something is in it', async () => {
    const prefix = `${unique()}:`;
    const client = rawClient();
    const stream = `${prefix}orders`;
    const first = (await client.xadd(stream, '*', 'a', '1')) as string;
    await client.xadd(stream, '*', 'a', '2');
    await client.xgroup('CREATE', stream, 'mail', '0');
    await client.xreadgroup('GROUP', 'mail', 'me', 'COUNT', 1, 'STREAMS', stream, '>');
    const seek = async (to: string): Promise<unknown> => {
      const args = ['groups', 'seek', 'orders', 'mail', '--to', to, '--prefix', prefix];
      return values((await cli.run(args)).stdout)[0]?.['lastId'];
    };
    expect(await seek('end')).not.toBe(first);
    expect(await seek(first)).toBe(first);
    const before = Number(String(await seek('1h')).split('-')[0]);
    expect(Math.abs(Date.now() - 3_600_000 - before)).toBeLessThan(600_000);

    const rm = ['groups', 'rm', 'orders', 'mail', '--prefix', prefix];
    const refused = await cli.run(rm);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('1 pending entries and 1 consumers: give --force');
    expect(await cli.run([...rm, '--force'])).toEqual({ code: 0, stdout: 'true\n', stderr: '' });
    expect(await client.xinfo('GROUPS', stream)).toEqual([]);
  });
});

describe('redstart peek', () => {
  it('prints what lies there, decoded, and takes nothing', async () => {
    const name = unique();
    const broker = newBroker(redisUrl());
    const client = rawClient();
    for (const n of [1, 2, 3])
      await broker.publish({ n }, { list: name, headers: { x: 'y' }, correlationId: `c${n}` });
    await client.rpush(name, Buffer.from([0, 159, 146, 150]), '{"of":"another program\u001b"}');
    const list = values((await cli.run(['peek', name])).stdout);
    expect(list.slice(0, 2)).toEqual([
      {
        at: 0,
        correlationId: 'c1',
        headers: { 'content-type': 'application/json', x: 'y' },
        body: { n: 1 },
      },
      expect.objectContaining({ at: 1, body: { n: 2 } }),
    ]);
    expect(list.slice(3)).toEqual([
      { at: 3, raw: { base64: 'AJ+Slg==' } },
      { at: 4, raw: '{"of":"another program\u001b"}' },
    ]);
    expect(await client.llen(name)).toBe(5);

    const stream = `${name}:s`;
    for (const n of [1, 2, 3]) await broker.publish(n, { stream });
    const id = await client.xadd(stream, '*', 'field', 'of another program');
    const found = values((await cli.run(['peek', stream, '--count', '2'])).stdout);
    expect(found).toMatchObject([{ body: 3 }, { id, fields: { field: 'of another program' } }]);
    expect(await client.xlen(stream)).toBe(4);
  });

  it('--follow goes on with what comes, of streams and channels, until a signal', async () => {
    const name = unique();
    const broker = newBroker(redisUrl());
    await broker.publish('old', { stream: name });
    const [stream, channel] = [
      cli.start(['peek', name, '--follow']),
      cli.start(['peek', `${name}:c`, '--channel', '-f']),
    ];
    await stream.hears('"old"');
    await broker.publish('new', { stream: name });
    await stream.hears('"new"');
    await eventually(async () => (await broker.publish('said', { channel: `${name}:c` })) > 0);
    await channel.hears('"said"');
    await rawClient().publish(`${name}:c`, 'of another program');
    await channel.hears('{"raw":"of another program"}');
    expect(channel.said.stdout).not.toContain('correlation_id');
    for (const one of [stream, channel]) one.process.kill('SIGINT');
    expect((await stream.ended).code).toBe(0);
    expect((await channel.ended).code).toBe(0);
  });

  it.each<[args: string[], told: string]>([
    [['peek', 'x', '--channel'], 'a channel keeps nothing: give --follow'],
    [['peek', 'x', '--list', '--follow'], 'a list cannot be followed'],
    [['peek', 'x', '--list', '--stream'], 'give only one of'],
    [['groups', 'seek', 'x', 'g'], '--to <where> is missing'],
    [['groups', 'seek', 'x', 'g', '--to', 'soon'], "how long ago (15m), got 'soon'"],
    [['groups', 'rm', 'x'], 'groups rm: <group> is missing'],
    [['dlq', 'ls', 'x', '--group-by', 'age'], "--group-by: expected error, got 'age'"],
    [['dlq', 'redrive', 'x', '--all', '--rate', '0'], '--rate: expected a whole number, 1 or more'],
    [['top', '--refresh', '0'], '--refresh: expected a whole number, 1 or more'],
  ])('%j is a mistake', async (args, told) => {
    const { code, stderr } = await inProcess(args);
    expect(stderr).toContain(told);
    expect(code).toBe(2);
  });
});

/** A dead letter, as far as its group is concerned. */
const letter = (id: number, error: string | undefined): never =>
  ({ id: String(id), error, diedAt: new Date(id) }) as never;

const at = (id: number): object => ({ id: String(id), diedAt: new Date(id).toISOString() });

describe('redstart dlq', () => {
  it('groups by error, counts before it sends, and sends at a rate', async () => {
    const prefix = `${unique()}:`;
    const client = rawClient();
    for (const kind of ['list', 'stream'] as const) {
      const jobs = `jobs-${kind}`;
      const broker = new RedisBroker(redisUrl(), { prefix, logger: false });
      const deadLetter = { [kind]: `${jobs}:dead` } as { list: string };
      const handler = broker.subscriber(
        { list: jobs, reliable: true, retry: false, deadLetter },
        (n: number) => {
          if (n % 4 === 0) throw new RangeError(`no "${n}" here`);
          throw new TypeError(`job ${n} of 3f2504e0-4f89-11d3-9a0c-0305e82c3301`);
        },
      );
      await broker.start();
      for (let n = 1; n <= 8; n++) await broker.publish(n, { list: jobs });
      const box = broker.deadLetters(deadLetter);
      await eventually(async () => (await box.count()) === 8);
      await handler.stop();

      const flags = ['--prefix', prefix, ...(kind === 'list' ? ['--list'] : [])];
      const grouped = await cli.run(['dlq', 'ls', `${jobs}:dead`, '--group-by', 'error', ...flags]);
      expect(values(grouped.stdout)).toMatchObject([
        { error: 'TypeError: job # of #', count: 6 },
        { error: 'RangeError: no ‹…› here', count: 2 },
      ]);
      const dry = ['dlq', 'redrive', `${jobs}:dead`, '--error', 'TypeError', ...flags];
      expect((await cli.run([...dry, '--dry-run'])).stdout).toBe('6\n');
      expect(await box.count()).toBe(8);
      const began = performance.now();
      expect(await cli.run([...dry, '--rate', '10'])).toEqual({
        code: 0,
        stdout: '6\n',
        stderr: '',
      });
      // One at a time, with 100 ms between two.
      expect(performance.now() - began).toBeGreaterThan(500);
      expect((await box.list()).map(({ error }) => error?.split(':')[0])).toEqual([
        'RangeError',
        'RangeError',
      ]);
      expect(await client.llen(`${prefix}${jobs}`)).toBe(6);
      await broker.stop();
    }
  });

  it('an error’s group leaves out what differs from one to the next', () => {
    const errors = ['E: at 10.5 s', 'E: at 3 s', "E: 'a b'", 'E: "c"', undefined, 'E: at 7 s'];
    expect(groupsOf(errors.map((error, i) => letter(i, error)))).toEqual([
      { error: 'E: at # s', count: 3, oldest: at(0), newest: at(5) },
      { error: 'E: ‹…›', count: 2, oldest: at(2), newest: at(3) },
      { error: 'no dead letter of redstart', count: 1, oldest: at(4), newest: at(4) },
    ]);
  });
});

describe('redstart health and top', () => {
  it('ask running processes; where none answers, the exit code is 3', async () => {
    const prefix = `${unique()}:`;
    const nobody = await cli.run(['health', '--prefix', prefix, '--timeout', '100']);
    expect({ code: nobody.code, stdout: nobody.stdout }).toEqual({ code: 3, stdout: '' });
    expect(nobody.stderr).toContain(`no process with the prefix '${prefix}' has answered`);

    const broker = newBroker(redisUrl(), { prefix, control: true });
    broker.subscriber({ stream: 'orders', group: 'mail', title: 'Mail' }, () => 1);
    broker.subscriber('logs.{level}', (_body, _ctx: MessageContext) => 1);
    await broker.start();
    const sending = setInterval(() => void broker.publish(1, { stream: 'orders' }), 20);
    onTestFinished(() => clearInterval(sending));
    const [said, told] = await Promise.all([
      cli.run(['health', '--prefix', prefix]),
      cli.run(['top', '--json', '--prefix', prefix]),
    ]);
    expect(said.code).toBe(0);
    expect(said.stdout).toMatch(new RegExp(`^green .* ${process.pid} .* yes +yes +2 `, 'm'));

    expect(told.code).toBe(0);
    const rows = values(told.stdout);
    expect(rows).toEqual([
      {
        kind: 'stream',
        name: `${prefix}orders`,
        group: 'mail',
        state: 'running',
        waiting: expect.any(Number),
        pending: expect.any(Number),
        readers: 1,
        running: expect.any(Number),
        handled: expect.any(Number),
        failed: 0,
        dead: 0,
      },
      expect.objectContaining({ name: `${prefix}logs.{level}`, state: 'running', handled: 0 }),
    ]);
    expect(rows[0]?.['handled']).toBeGreaterThan(0);
  });

  it('one that is not well ends health with 1, and its problem is told', async () => {
    const prefix = `${unique()}:`;
    const broker = newBroker(redisUrl(), { prefix, control: true, logger: false });
    broker.subscriber({ list: 'wrong' }, () => 1);
    await rawClient().set(`${prefix}wrong`, 'no list');
    await broker.start();
    await eventually(async () => (await broker.health()).status === 'red');
    const { code, stdout } = await cli.run(['health', '--prefix', prefix]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^red /m);
    expect(stdout).toContain('WRONGTYPE');
  });
});
