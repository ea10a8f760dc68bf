#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { suggestion, type Command } from './command.ts';
import { dlq } from './dlq.ts';
import { EXIT, UsageError, errorText, exitCodeOf } from './failure.ts';
import { helpOf, helpOfOne } from './help.ts';
import { logLine } from './output.ts';
import { ping } from './ping.ts';
import { publish } from './publish.ts';
import { request } from './request.ts';
import { run } from './run.ts';

const COMMANDS: readonly Command[] = [run, publish, request, ...dlq, ping];

async function main(args: readonly string[]): Promise<number> {
  const [first, second] = args;
  if (first === undefined || first === '--help' || first === '-h') {
    const isAsked = first !== undefined;
    (isAsked ? process.stdout : process.stderr).write(`${helpOf(COMMANDS)}\n`);
    return isAsked ? EXIT.ok : EXIT.usage;
  }
  if (first === '--version' || first === '-v') {
    process.stdout.write(`${version()}\n`);
    return EXIT.ok;
  }
  const family = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  const end = args.indexOf('--');
  const options = end === -1 ? args : args.slice(0, end);
  const wantsHelp = options.includes('--help') || options.includes('-h');
  if (wantsHelp && family.length > 0 && second?.startsWith('-')) {
    process.stdout.write(`${family.map(helpOfOne).join('\n\n')}\n`);
    return EXIT.ok;
  }
  const command = find(first, second, family);
  if (!wantsHelp) return command.run(args.slice(family.length > 0 ? 2 : 1));
  process.stdout.write(`${helpOfOne(command)}\n`);
  return EXIT.ok;
}

/** The command that the first words name. Throws `UsageError` if there is none. */
function find(first: string, second: string | undefined, family: readonly Command[]): Command {
  if (family.length > 0) {
    const known = family.map(({ name }) => name.slice(first.length + 1));
    const found = family[known.indexOf(second ?? '')];
    if (found !== undefined) return found;
    const got = second === undefined ? 'nothing more' : `'${second}'`;
    const hint = second === undefined ? '' : suggestion(second, known);
    throw new UsageError(`${first}: expected ${known.join(', ')}, got ${got}${hint}`);
  }
  const found = COMMANDS.find(({ name }) => name === first);
  if (found !== undefined) return found;
  const known = [...new Set(COMMANDS.map(({ name }) => name.split(' ')[0] as string))];
  throw new UsageError(
    `expected a command (${known.join(', ')}), got '${first}'${suggestion(first, known)}`,
  );
}

function version(): string {
  const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(); // the reader has closed the pipe, as in `redstart dlq ls … | head`
});

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  logLine(errorText(error));
  if (error instanceof UsageError) logLine("see 'redstart --help'");
  process.exitCode = exitCodeOf(error);
}
