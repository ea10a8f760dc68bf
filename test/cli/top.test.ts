// `redstart top` in a real terminal: tmux, in `npm run full`.
import { spawnSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { RedisBroker } from 'redstart';
import { newBroker } from '../support/broker.ts';
import { eventually } from '../support/eventually.ts';
import { isLong } from '../support/long.ts';
import { ownServer, redisUrl, unique } from '../support/redis.ts';
import { CommandLine } from './command-line.ts';

const hasTmux = spawnSync('tmux', ['-V']).status === 0;
if (isLong && !hasTmux)
  process.stderr.write('tests of redstart top are skipped: no tmux on PATH\n');

let cli: CommandLine;

/** A terminal of its own, with a shell in it. */
class Terminal {
  readonly #name = unique('tmux').replaceAll(':', '-');

  constructor(width: number, height: number) {
    const size = ['-x', String(width), '-y', String(height)];
    this.#tmux('new-session', '-d', '-s', this.#name, ...size, 'env PS1="$ " sh');
    onTestFinished(() => this.close());
  }

  close(): void {
    this.#tmux('kill-session', '-t', this.#name);
  }

  type(...keys: string[]): void {
    this.#tmux('send-keys', '-t', this.#name, ...keys);
  }

  resize(width: number, height: number): void {
    this.#tmux('resize-window', '-t', this.#name, '-x', String(width), '-y', String(height));
  }

  /** The lines that are seen, without empty ones. */
  lines(): string[] {
    const { stdout } = this.#tmux('capture-pane', '-p', '-t', this.#name);
    return stdout.split('\n').filter((line) => line.trim() !== '');
  }

  async sees(text: string | RegExp): Promise<void> {
    await eventually(() => {
      const all = this.lines().join('\n');
      if (!(typeof text === 'string' ? all.includes(text) : text.test(all)))
        throw new Error(`${String(text)} is not in:\n${all}`);
    });
  }

  #tmux(...args: string[]): { stdout: string } {
    return spawnSync('tmux', ['-L', 'redstart-test', ...args], { encoding: 'utf8' });
  }
}

/** Types the command. */
function start(terminal: Terminal, url: string, prefix: string, flags = ''): void {
  terminal.type(`node ${flags} ${cli.path}/dist/cli/main.js top --prefix ${prefix} --url ${url}`);
  terminal.type('; echo "ended: $?"', 'Enter');
}

/** Sends a signal to the command with this prefix. */
function signal(name: string, prefix: string): void {
  spawnSync('pkill', [`-${name}`, '-f', `main.js top --prefix ${prefix}`]);
}

/** Long enough to be cut on 80 columns. */
const GROUP = 'mails-to-customers-in-europe';

/** A prefix with 500 subscribers on channels, and one stream whose group works. */
async function busy(url: string): Promise<string> {
  const prefix = `${unique()}:`;
  const broker = new RedisBroker(url, { prefix, control: true, logger: false });
  onTestFinished(() => broker.stop());
  broker.subscriber({ stream: 'orders', group: GROUP }, () => 1);
  for (let n = 100; n < 600; n++) broker.subscriber(`${'long-'.repeat(6)}${n}`, () => 1);
  await broker.start();
  const sending = setInterval(() => void broker.publish(1, { stream: 'orders' }), 50);
  onTestFinished(() => clearInterval(sending));
  return prefix;
}

describe.skipIf(!isLong || !hasTmux)('redstart top in a terminal', () => {
  beforeAll(async () => void (cli = await CommandLine.install()));
  afterAll(() => cli.remove());

  it.each([
    [80, 24],
    [200, 50],
  ])('shows 500 places on %i × %i, moves, filters, is resized', async (width, height) => {
    const prefix = await busy(redisUrl());
    const terminal = new Terminal(width, height);
    start(terminal, redisUrl(), prefix);
    await terminal.sees('501 places, 1 process');
    const lines = terminal.lines();
    expect(lines).toHaveLength(height);
    expect(lines[2]).toMatch(/^KIND +NAME.* +WAIT +PEND +READ +RUN +OK\/S +ERR\/S +DEAD$/);
    expect(lines.at(-1)).toContain(`1-${height - 4} of 501`);
    terminal.type('G');
    await terminal.sees(`${501 - height + 5}-501 of 501`);
    terminal.type('/');
    terminal.type('ORDERS');
    await terminal.sees(/\/ORDERS_/);
    terminal.type('Enter');
    await terminal.sees(/stream +orders +mails\S*europe +running +\d/);
    await terminal.sees("1-1 of 1 with 'ORDERS'");
    terminal.type('Escape');
    await terminal.sees('of 501');
    terminal.resize(100, 30);
    await eventually(() => terminal.lines().length === 30, 20_000);
    const began = performance.now();
    terminal.type('q');
    await terminal.sees('ended: 0');
    // It does not wait for its timers.
    expect(performance.now() - began).toBeLessThan(1_800);
    expect(terminal.lines().some((line) => line.includes('places'))).toBe(false);
  });

  it('a crash leaves the screen as it was, and its error is read there', async () => {
    const prefix = await busy(redisUrl());
    const crash = `process.once('SIGUSR2', () => { throw new Error('on purpose'); });`;
    const flags = `--import ${cli.write('crash.mjs', crash)}`;
    const terminal = new Terminal(80, 24);
    terminal.type('clear; echo before', 'Enter');
    await terminal.sees(/^before$/m);
    start(terminal, redisUrl(), prefix, flags);
    await terminal.sees('501 places');
    signal('USR2', prefix);
    await terminal.sees('ended: 1');
    expect(terminal.lines()[0]).toBe('before');
    expect(terminal.lines().join('\n')).toContain('Error: on purpose');
    terminal.type('echo "$((40 + 2))"', 'Enter');
    await terminal.sees(/^\$ echo "\$\(\(40 \+ 2\)\)"$/m); // what is typed is seen
    await terminal.sees(/^42$/m);
  });

  it('ends when its terminal is closed', async () => {
    const prefix = await busy(redisUrl());
    const terminal = new Terminal(80, 24);
    start(terminal, redisUrl(), prefix);
    await terminal.sees('501 places');
    const isRunning = (): boolean =>
      spawnSync('pkill', ['-0', '-f', `main.js top --prefix ${prefix}`]).status === 0;
    expect(isRunning()).toBe(true);
    terminal.close();
    await eventually(() => expect(isRunning()).toBe(false), 20_000);
  });

  it('says that there is nothing, and shows it when it comes', async () => {
    const prefix = `${unique()}:`;
    const terminal = new Terminal(80, 24);
    start(terminal, redisUrl(), prefix);
    await terminal.sees(`there is nothing that begins with '${prefix}'`);
    await newBroker(redisUrl(), { prefix }).publish(1, { list: 'late' });
    await terminal.sees(/^list +late /m);
    expect(terminal.lines()[1]).toBe('1 place, 0 processes');
    terminal.type('q');
    await terminal.sees('ended: 0');
  });

  it.each<[name: string, end: (terminal: Terminal, prefix: string) => void, code: RegExp]>([
    ['Ctrl+C', (terminal) => terminal.type('C-c'), /ended: 0/],
    ['SIGTERM', (_, prefix) => signal('TERM', prefix), /ended: 0/],
    ['SIGHUP', (_, prefix) => signal('HUP', prefix), /ended: 0/],
    ['Ctrl+Z and fg', (terminal) => terminal.type('C-z'), /Stopped/i],
  ])('%s leaves the screen as it was', async (_name, end, code) => {
    const prefix = await busy(redisUrl());
    const terminal = new Terminal(80, 24);
    terminal.type('clear; echo before', 'Enter');
    await terminal.sees(/^before$/m);
    start(terminal, redisUrl(), prefix);
    await terminal.sees('501 places');
    end(terminal, prefix);
    await terminal.sees(code);
    const left = terminal.lines();
    expect(left[0]).toBe('before');
    expect(left.some((line) => line.includes('places'))).toBe(false);
    if (!code.test('Stopped')) return;
    terminal.type('fg', 'Enter');
    await terminal.sees('501 places');
    terminal.type('q');
    await eventually(() => !terminal.lines().some((line) => line.includes('places')));
  });

  it('a server that goes away is told of, and seen again when it is back', async () => {
    const server = await ownServer();
    const prefix = await busy(server.url);
    const terminal = new Terminal(80, 24);
    start(terminal, server.url, prefix);
    await terminal.sees('501 places');
    await newBroker(server.url).client.call('client', 'pause', '8000');
    await terminal.sees('Redis is away (no answer): trying again');
    await terminal.sees('501 places'); // it answers again after 8 s
    await newBroker(server.url).client.call('client', 'pause', '8000');
    await terminal.sees('Redis is away (no answer): trying again');
    const began = performance.now();
    terminal.type('q');
    await terminal.sees('ended: 0');
    expect(performance.now() - began).toBeLessThan(1_800);
    expect(terminal.lines().some((line) => line.includes('places'))).toBe(false);
  });
});
