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
    onTestFinished(() => void this.#tmux('kill-session', '-t', this.#name));
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
    }, 20_000);
  }

  #tmux(...args: string[]): { stdout: string } {
    return spawnSync('tmux', ['-L', 'redstart-test', ...args], { encoding: 'utf8' });
  }
}

/** Types the command. */
function start(terminal: Terminal, url: string, prefix: string): void {
  terminal.type(`node ${cli.path}/dist/cli/main.js top --prefix ${prefix} --url ${url}`);
  terminal.type('; echo "ended: $?"', 'Enter');
}

/** A prefix with 500 lists, and one stream whose group works. */
async function busy(url: string): Promise<string> {
  const prefix = `${unique()}:`;
  const broker = new RedisBroker(url, { prefix, control: true, logger: false });
  onTestFinished(() => broker.stop());
  for (let n = 100; n < 600; n++) await broker.publish(n, { list: `list-${n}` });
  broker.subscriber({ stream: 'orders', group: 'mail' }, () => 1);
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
    await terminal.sees('501 places, 1 processes');
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
    await terminal.sees(/stream +orders +mail +running/);
    await terminal.sees("1-1 of 1 with 'ORDERS'");
    terminal.type('Escape');
    await terminal.sees('of 501');
    terminal.resize(100, 30);
    await eventually(() => terminal.lines().length === 30, 20_000);
    terminal.type('q');
    await terminal.sees('ended: 0');
    expect(terminal.lines().some((line) => line.includes('places'))).toBe(false);
  });

  it.each<[name: string, end: (terminal: Terminal, prefix: string) => void, code: RegExp]>([
    ['Ctrl+C', (terminal) => terminal.type('C-c'), /ended: 0/],
    [
      'SIGTERM',
      (_, prefix) => void spawnSync('pkill', ['-TERM', '-f', `top --prefix ${prefix}`]),
      /ended: 0/,
    ],
    [
      'SIGHUP',
      (_, prefix) => void spawnSync('pkill', ['-HUP', '-f', `top --prefix ${prefix}`]),
      /ended: 0/,
    ],
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
    await eventually(() => !terminal.lines().some((line) => line.includes('places')), 20_000);
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
    terminal.type('q');
    await terminal.sees('ended: 0');
    expect(terminal.lines().some((line) => line.includes('places'))).toBe(false);
  });
});
