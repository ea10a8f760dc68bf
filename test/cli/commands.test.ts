import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { RpcError, type MessageContext, type RedisBroker } from 'redstart';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { repository } from '../docs/program.ts';
import { newBroker } from '../support/broker.ts';
import { takeLogs } from '../support/logs.ts';
import { rawClient, redisUrl, unique } from '../support/redis.ts';
import { CommandLine, inProcess } from './command-line.ts';

let cli: CommandLine;
beforeAll(async () => void (cli = await CommandLine.install()));
afterAll(() => cli.remove());

const DLQ = ['dlq ls', 'dlq show', 'dlq redrive', 'dlq remove'];
const COMMANDS = [
  ...['run', 'publish', 'request', 'ping', 'ls', 'top', 'peek', 'health'],
  ...['groups ls', 'groups seek', 'groups rm'],
  ...DLQ,
  ...['delayed ls', 'delayed cancel'],
];

/** The values on stdout. */
const values = (stdout: string): unknown[] =>
  stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as unknown);

describe('redstart --help', () => {
  it('names every command and every exit code', async () => {
    const { code, stdout, stderr } = await inProcess(['--help']);
    expect(await cli.run(['--help'])).toEqual({ code, stdout, stderr });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} .*`, 'm'));
    for (const meaning of ['0 done', '1 it failed', '2 the command', '3 no answer', '4 Redis'])
      expect(stdout).toContain(meaning);
  });

  it.each(COMMANDS)('of %s says what it takes, without a Redis', async (name) => {
    const { code, stdout, stderr } = await inProcess([...name.split(' '), '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`redstart ${name}`);
    expect(stdout).toMatch(/^ {2}--url <url>/m);
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
  });

  // An app says its own prefix; PING is about no name.
  it.each(COMMANDS.filter((name) => name !== 'run'))('of %s: --json and --prefix', async (name) => {
    const { stdout } = await inProcess([...name.split(' '), '--help']);
    expect(stdout).toMatch(/^ {2}--json /m);
    expect(/^ {2}--prefix <text>/m.test(stdout)).toBe(name !== 'ping');
  });

  it('of a family shows all its commands', async () => {
    const { code, stdout } = await inProcess(['dlq', '--help']);
    expect(code).toBe(0);
    for (const name of DLQ) expect(stdout).toContain(`redstart ${name} <address>`);
  });

  it('is what no command at all gets, as a mistake', async () => {
    const { code, stdout, stderr } = await inProcess([]);
    expect(await cli.run([])).toEqual({ code, stdout, stderr });
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toContain('usage: redstart <command>');
  });

  it('stands beside --version', async () => {
    const { version } = JSON.parse(readFileSync(repository('package.json'), 'utf8')) as {
      version: string;
    };
    expect((await cli.run(['--version'])).stdout).toBe(`${version}\n`);
  });
});

describe('a mistake on the command line ends with 2 and says what was expected', () => {
  it.each<[args: string[], told: string]>([
    [['pulbish', 'x', '1'], "got 'pulbish', did you mean 'publish'?"],
    [
      ['frobnicate'],
      'expected a command (new, run, publish, request, ls, top, peek, groups, dlq, ',
    ],
    [['--url', 'x', 'ping'], 'expected a command (new, run'],
    [['dlq'], 'dlq: expected ls, show, redrive, remove, got nothing more'],
    [['dlq', 'redirve', 'x'], "got 'redirve', did you mean 'redrive'?"],
    [['publish', 'x', '1', '--hedaer', 'a=b'], "unknown option --hedaer, did you mean '--header'?"],
    [['publish', 'x', '1', '--zzz'], 'unknown option --zzz (known: --channel, --list, --stream'],
    [['publish', 'x', '1', '--list=true'], "--list takes no value, got 'true'"],
    [['publish', 'x', '1', '--header'], '--header needs a value: <key=value>'],
    [
      ['publish', 'x', '1', '--header', 'redstart-key=a'],
      "names that begin with 'redstart-' are for redstart, got 'redstart-key=a': use --key",
    ],
    [['publish', 'x', '1', '--id', 'a'], "'id' needs a list or a stream"],
    [['publish', 'x', '1', '--delay', 'soon'], '--delay: expected a whole number, 1 or more'],
    [['publish', 'x', '1', '--header', 'novalue'], "expected key=value, got 'novalue'"],
    [['publish', 'x'], 'publish: <json> is missing'],
    [['publish', 'x', '1', '2'], "publish: unexpected '2', expected <address> <json>"],
    [['publish', 'x', 'A-1'], "'A-1' is not JSON"],
    [['publish', 'x', '-5'], "put an operand that begins with '-' after '--'"],
    [['publish', '', '1'], 'the address is empty'],
    [['publish', 'x', '1', '--list', '--stream'], "'x': give only one of --list, --stream"],
    [
      ['request', 'x', '1', '--timeout', 'soon'],
      "--timeout: expected a whole number, 1 or more, got 'soon'",
    ],
    [
      ['request', 'x', '1', '--url', 'http://here'],
      "expected a redis://, rediss:// or memory:// URL, got 'http://here'",
    ],
    [['request', 'x', '1', '--url', 'memory://'], "'memory://' is the memory of one process"],
    [['ping', 'x'], "ping: unexpected 'x', expected no operands"],
    [['dlq', 'redrive', 'x'], 'say which dead letters: their ids, or --error, or --all'],
    [
      ['dlq', 'remove', 'x', '1-0', '--all'],
      'say which dead letters: their ids, or --error, or --all',
    ],
    [['dlq', 'show', 'x'], 'dlq show: <id>… is missing'],
    [['dlq', 'show', 'x', 'first'], "'first' is not an id"],
    [['dlq', 'show', 'x', '9999999999999999-99999999999999999999'], 'is not an id'],
    [['run', 'nowhere.js'], 'nowhere.js; has it been compiled?'],
    [
      ['run', 'package.json', '--workers', '0'],
      "--workers: expected a whole number, 1 or more, got '0'",
    ],
  ])('%j', async (args, told) => {
    const { code, stdout, stderr } = await inProcess(args);
    expect(stderr).toContain(told);
    expect(stderr.split('\n').length).toBeLessThan(4);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  it('in a process of its own, too', async () => {
    const ended = await cli.run(['publish', 'x', '1', '--zzz']);
    expect(ended).toEqual(await inProcess(['publish', 'x', '1', '--zzz']));
    expect(ended.code).toBe(2);
  });
});

describe('redstart publish', () => {
  it('sends to a channel with headers, and prints its receivers', async () => {
    const name = unique();
    const service = newBroker(redisUrl());
    const seen: unknown[] = [];
    service.subscriber(name, (body, { message }: MessageContext) => {
      seen.push(body, message.headers['x-region'], message.headers['x-empty']);
    });
    await service.start();
    const headers = ['--header', 'x-region=eu=1', '--header', 'x-empty='];
    const { code, stdout, stderr } = await cli.run(['publish', name, '{"sku":"A-1"}', ...headers]);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '1\n', stderr: '' });
    await service.stop();
    expect(seen).toEqual([{ sku: 'A-1' }, 'eu=1', '']);
  });

  it('appends to a list and prints its length, adds to a stream and prints the id', async () => {
    const name = unique();
    expect((await cli.run(['publish', name, '1', '--list'])).stdout).toBe('1\n');
    expect((await cli.run(['publish', name, '2', '--list'])).stdout).toBe('2\n');
    const { code, stdout } = await cli.run(['publish', `${name}:s`, 'null', '--stream']);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^"\d+-\d+"\n$/);
    expect((await rawClient().xrange(`${name}:s`, '-', '+'))[0]?.[0]).toBe(JSON.parse(stdout));
  });

  it('gives the message a key and an id, and sends it after a delay', async () => {
    const name = unique();
    const service = newBroker(redisUrl());
    await using taken = await service.subscribe({ list: name });
    const flags = ['--list', '--key', 'ada', '--id', 'order-7'];
    expect((await cli.run(['publish', name, '1', ...flags])).stdout).toBe('"order-7"\n');
    expect((await cli.run(['publish', name, '1', ...flags])).stdout).toBe('"order-7"\n');
    expect(await taken.next({ timeout: 20_000 })).toMatchObject({
      key: 'ada',
      messageId: 'order-7',
    });
    expect(await taken.next({ timeout: 50 })).toBeNull();
    const delay = ['--list', '--delay', '3600000', '--id', 'order-8'];
    expect((await cli.run(['publish', name, '2', ...delay])).stdout).toBe('"order-8"\n');
    expect(await service.cancel({ list: name }, 'order-8')).toBe(true);
  });

  it('takes its body from stdin, and a negative number after --', async () => {
    const name = unique();
    const service = newBroker(redisUrl());
    await using taken = await service.subscribe({ list: name });
    await cli.run(['publish', name, '-', '--list'], { input: ' {"from":\n"stdin"} ' });
    expect((await taken.next({ timeout: 20_000 }))?.body).toEqual({ from: 'stdin' });
    await cli.run(['publish', '--list', '--', name, '-5']);
    expect((await taken.next({ timeout: 20_000 }))?.body).toBe(-5);
  });

  it('ends with 4 where Redis refuses or is not there', async () => {
    const name = unique();
    await rawClient().set(name, 'a string');
    const refused = await cli.run(['publish', name, '1', '--list']);
    expect(refused).toMatchObject({ code: 4, stdout: '' });
    expect(refused.stderr).toContain('WRONGTYPE');
    const url = `redis://127.0.0.1:${await freePort()}`;
    const lost = await cli.run(['publish', name, '1', '--url', url]);
    expect(lost).toMatchObject({ code: 4, stdout: '' });
    expect(lost.stderr).toContain(`cannot connect to Redis at ${url.slice(8)}`);
  });
});

describe('redstart request', () => {
  it.each(['channel', 'list', 'stream'])('prints the answer of a %s handler', async (kind) => {
    const name = unique();
    const service = newBroker(redisUrl());
    const address = { [kind]: name } as { channel: string };
    service.subscriber(address, (sku: string) => ({ sku, cents: 1999 }));
    await service.start();
    const { code, stdout, stderr } = await cli.run(['request', name, '"A-1"', `--${kind}`]);
    expect({ code, stdout, stderr }).toEqual({
      code: 0,
      stdout: '{"sku":"A-1","cents":1999}\n',
      stderr: '',
    });
  });

  it('prints nothing as null, and bytes in base64', async () => {
    const name = unique();
    const service = newBroker(redisUrl());
    service.subscriber(name, (body) => (body === 1 ? Buffer.from([0, 255, 1]) : undefined));
    await service.start();
    expect((await cli.run(['request', name, '1'])).stdout).toBe('{"base64":"AP8B"}\n');
    expect((await cli.run(['request', name, '2'])).stdout).toBe('null\n');
  });

  it('ends with 1 where the handler failed, and says its code and data', async () => {
    const name = unique();
    const service = newBroker(redisUrl());
    service.subscriber(name, (body) => {
      if (body === 'bug') throw new RangeError('out of range');
      throw new RpcError('SOLD_OUT', 'A-1 is sold out', { left: 0 });
    });
    await service.start();
    expect(await cli.run(['request', name, '"A-1"'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'redstart: remote error SOLD_OUT: A-1 is sold out {"left":0}\n',
    });
    expect(await cli.run(['request', name, '"bug"'])).toEqual({
      code: 1,
      stdout: '',
      stderr: 'redstart: remote error RangeError: out of range\n',
    });
    expect(takeLogs()).toHaveLength(1); // an RpcError is an answer
  });

  it('ends with 1 and not with 3 where it is the handler whose own call timed out', async () => {
    const name = unique();
    const service = newBroker(redisUrl());
    service.subscriber(name, () =>
      service.publish(1, { list: `${name}:nobody`, rpc: true, timeout: 50 }),
    );
    await service.start();
    const { code, stderr } = await cli.run(['request', name, '1']);
    expect({ code, stderr }).toMatchObject({ code: 1 });
    expect(stderr).toContain('remote error RPC_TIMEOUT');
    expect(takeLogs()).toHaveLength(1);
  });

  it('ends with 3 where nobody is there, or nobody answers in time', async () => {
    const name = unique();
    const nobody = await cli.run(['request', name, '1']);
    expect(nobody).toMatchObject({ code: 3, stdout: '' });
    expect(nobody.stderr).toContain('nobody is subscribed');
    const late = await cli.run(['request', name, '1', '--list', '--timeout', '100']);
    expect(late).toMatchObject({ code: 3, stdout: '' });
    expect(late.stderr).toContain('within 100 ms');
  });
});

describe('redstart ping', () => {
  it('prints where Redis is, without the password, and how long it took', async () => {
    const url = redisUrl().replace('redis://', 'redis://default:secret@');
    const { stdout } = await cli.run(['ping', '--url', redisUrl()], { url });
    expect(values(stdout)).toEqual([{ url: redisUrl(), ms: expect.any(Number) }]);
  });

  it('uses REDIS_URL, and ends with 4 where nothing is there; no password is printed', async () => {
    const port = await freePort();
    const { code, stdout, stderr } = await cli.run(['ping'], {
      url: `redis://user:secret@127.0.0.1:${port}`,
    });
    expect({ code, stdout }).toEqual({ code: 4, stdout: '' });
    expect(stderr).toContain(`127.0.0.1:${port}: connect ECONNREFUSED`);
    expect(stderr).not.toContain('secret');
  });
});

describe('redstart delayed', () => {
  it.each(['stream', 'list', 'channel'] as const)(
    'lists what waits for a %s, and takes it back',
    async (kind) => {
      const broker = newBroker(redisUrl());
      const to = { [kind]: unique() } as { list: string };
      const ids = [
        await broker.publish({ n: 2 }, { ...to, delay: 7_200_000 }),
        await broker.publish({ n: 1 }, { ...to, delay: 3_600_000, headers: { tenant: 'a' } }),
      ];
      const [name = ''] = Object.values(to);
      const flags = [`--${kind}`, '--url', redisUrl()];
      const listed = await cli.run(['delayed', 'ls', name, ...flags]);
      expect(listed.code).toBe(0);
      expect(values(listed.stdout)).toEqual(
        [ids[1], ids[0]].map((id) => ({ id, due: expect.stringMatching(/^\d{4}-.*Z$/) })),
      );
      const whole = await cli.run(['delayed', 'ls', name, '--all', '--count', '1', ...flags]);
      expect(values(whole.stdout)).toMatchObject([{ body: { n: 1 }, headers: { tenant: 'a' } }]);
      const taken = await cli.run(['delayed', 'cancel', name, ids[0] as string, 'other', ...flags]);
      expect(taken).toMatchObject({ code: 1, stdout: '1\n' });
      expect(taken.stderr).toContain(`no message waits with the id other for ${kind} '${name}'`);
      const rest = await cli.run(['delayed', 'ls', name, '--skip', '1', ...flags]);
      expect(rest).toMatchObject({ code: 0, stdout: '' });
      expect((await cli.run(['delayed', 'cancel', name, ids[1] as string, ...flags])).code).toBe(0);
    },
  );

  it('says where nothing waits, and where something waits for another kind of address', async () => {
    const prefix = `${unique()}:`;
    const broker = newBroker(redisUrl(), { prefix });
    const where = ['reminders', '--prefix', prefix];
    const nothing = await cli.run(['delayed', 'ls', ...where]);
    expect(nothing).toMatchObject({ code: 0, stdout: '' });
    expect(nothing.stderr).toBe(`redstart: no message waits for channel '${prefix}reminders'\n`);
    const id = await broker.publish(1, { list: 'reminders', delay: 3_600_000 });
    const other = `channel '${prefix}reminders'; some wait for the list: give --list\n`;
    const listed = await cli.run(['delayed', 'ls', ...where]);
    expect(listed).toMatchObject({ code: 1, stdout: '' });
    expect(listed.stderr).toBe(`redstart: no message waits for ${other}`);
    const cancelled = await cli.run(['delayed', 'cancel', 'reminders', id, '--prefix', prefix]);
    expect(cancelled).toMatchObject({ code: 1, stdout: '0\n' });
    expect(cancelled.stderr).toContain(`no message waits with the id ${id} for ${other}`);
    expect(values((await cli.run(['delayed', 'ls', ...where, '--list'])).stdout)).toMatchObject([
      { id },
    ]);
    await broker.cancel({ list: 'reminders' }, id);
  });
});

describe.each(['stream', 'list'] as const)('redstart dlq on a %s', (kind) => {
  /** Three bodies that died, and the list that they came from. */
  async function bury(): Promise<{ dead: string; from: string; broker: RedisBroker }> {
    const name = unique();
    const [from, dead] = [`${name}:from`, `${name}:dead`];
    const broker = newBroker(redisUrl());
    const deadLetter = kind === 'stream' ? { stream: dead } : { list: dead };
    let died!: () => void;
    const all = new Promise<void>((resolve) => (died = resolve));
    const address = { list: from, reliable: true, retry: false, deadLetter } as const;
    broker.subscriber(address, (body) => {
      if (body === 3) died();
      throw new RangeError(`bad ${String(body)}`);
    });
    await broker.start();
    await broker.publish(1, { list: from, headers: { 'x-region': 'eu' } });
    await broker.publishBatch([2, 3], { list: from });
    await all;
    await broker.stop();
    expect(takeLogs()).toHaveLength(3);
    return { dead, from, broker };
  }

  const flags = kind === 'list' ? ['--list'] : [];
  const dlq = async (command: string, ...args: string[]): Promise<unknown[]> => {
    const { code, stdout, stderr } = await cli.run(['dlq', command, ...args, ...flags]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    return values(stdout);
  };
  const ids = async (dead: string): Promise<string[]> =>
    ((await dlq('ls', dead)) as { id: string }[]).map(({ id }) => id);

  it('lists them, and shows whole ones', async () => {
    const { dead, from } = await bury();
    const all = await dlq('ls', dead);
    expect(all).toHaveLength(3);
    expect(all[0]).toEqual({
      id: expect.stringMatching(kind === 'list' ? /^0$/ : /^\d+-\d+$/),
      error: 'RangeError: bad 1',
      deliveries: 1,
      origin: { list: from },
      diedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
    });
    const [first = '', second = '', third = ''] = await ids(dead);
    const shown = await dlq('show', dead, third, first);
    expect(shown).toMatchObject([{ body: 3 }, { body: 1, headers: { 'x-region': 'eu' } }]);
    expect(await dlq('ls', dead, '--count', '1')).toMatchObject([{ id: first }]);
    expect(await dlq('ls', dead, '--after', second)).toMatchObject([{ id: third }]);
  });

  it('sends back those that are named, and all', async () => {
    const { dead, from } = await bury();
    const [, second = ''] = await ids(dead);
    expect(await dlq('redrive', dead, second)).toEqual([1]);
    expect(await ids(dead)).toHaveLength(2);
    expect(await dlq('redrive', dead, '--all')).toEqual([2]);
    const client = rawClient();
    expect(await (kind === 'list' ? client.llen(dead) : client.xlen(dead))).toBe(0);
    const again = newBroker(redisUrl());
    await using taken = await again.subscribe({ list: from });
    const bodies = [];
    for (let i = 0; i < 3; i++) bodies.push((await taken.next({ timeout: 20_000 }))?.body);
    expect(bodies).toEqual([2, 1, 3]);
  });

  it('deletes those that are named, and all', async () => {
    const { dead } = await bury();
    const [first = '', , third = ''] = await ids(dead);
    expect(await dlq('remove', dead, first, third)).toEqual([2]);
    expect(await dlq('show', dead, ...(await ids(dead)))).toMatchObject([{ body: 2 }]);
    expect(await dlq('remove', dead, '--all')).toEqual([1]);
    // A list that is empty does not exist.
    const { code, stdout } = await cli.run(['dlq', 'ls', dead, ...flags]);
    expect({ code, stdout }).toEqual({ code: kind === 'stream' ? 0 : 1, stdout: '' });
  });

  it('does nothing, and ends with 1, where one is not there', async () => {
    const { dead } = await bury();
    const [first = ''] = await ids(dead);
    const missing = kind === 'list' ? '7' : '1-1';
    for (const command of ['show', 'redrive', 'remove']) {
      const ended = await cli.run(['dlq', command, dead, first, missing, ...flags]);
      expect(ended).toEqual({
        code: 1,
        stdout: '',
        stderr: `redstart: there is no dead letter with the id ${missing}\n`,
      });
    }
    expect(await ids(dead)).toHaveLength(3);
  });
});

describe('redstart dlq', () => {
  it('leaves what is no dead letter, and says so', async () => {
    const dead = unique();
    await newBroker(redisUrl()).publish('foreign', { stream: dead });
    const all = await cli.run(['dlq', 'redrive', dead, '--all']);
    expect(all).toMatchObject({ code: 0, stdout: '0\n' });
    expect(all.stderr).toContain("1 left: no dead letters of redstart's");
    const [{ id }] = values((await cli.run(['dlq', 'ls', dead])).stdout) as [{ id: string }];
    const named = await cli.run(['dlq', 'redrive', dead, id]);
    expect(named).toMatchObject({ code: 1, stdout: '0\n' });
    expect(await rawClient().xlen(dead)).toBe(1);
  });

  it('ends with 4 on a key of another type', async () => {
    const name = unique();
    await rawClient().set(name, 'a string');
    const { code, stderr } = await cli.run(['dlq', 'ls', name]);
    expect(code).toBe(4);
    expect(stderr).toContain('WRONGTYPE');
    expect(stderr).not.toContain('    at ');
  });

  it('ends quietly when nobody reads on', async () => {
    const dead = unique();
    const bodies = Array.from({ length: 3_000 }, (_, n) => n);
    await newBroker(redisUrl()).publishBatch(bodies, { stream: dead });
    const command = `"${process.execPath}" dist/cli/main.js dlq ls ${dead} --count 3000`;
    const { stdout, stderr } = spawnSync('sh', ['-c', `${command} | head -n 1`], {
      cwd: cli.path,
      env: { ...process.env, REDIS_URL: redisUrl() },
      encoding: 'utf8',
    });
    expect(values(stdout)).toHaveLength(1);
    expect(stderr).toBe('');
  });
});
