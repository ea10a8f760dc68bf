import { readFileSync } from 'node:fs';
import { asyncapi } from './asyncapi.ts';
import { suggestion, type Command } from './command.ts';
import { dashboard } from './dashboard.ts';
import { delayed } from './delayed.ts';
import { dlq } from './dlq.ts';
import { docsServe } from './docs.ts';
import { EXIT, UsageError, errorText, exitCodeOf } from './failure.ts';
import { groups } from './groups.ts';
import { health } from './health.ts';
import { helpOf, helpOfOne } from './help.ts';
import { ls } from './ls.ts';
import { writeLine, type Output } from './output.ts';
import { create } from './new.ts';
import { peek } from './peek.ts';
import { ping } from './ping.ts';
import { publish } from './publish.ts';
import { request } from './request.ts';
import { run } from './run.ts';
import { top } from './top.ts';

const COMMANDS: readonly Command[] = [
  ...[create, run, publish, request, ls, top, peek],
  ...groups,
  ...dlq,
  ...delayed,
  dashboard,
  ...[health, ping, asyncapi, docsServe],
];

/**
 * Runs the command that `args` name, and resolves with the exit code. Help and errors are written to
 * `output`; what a command prints goes to the process's own stdout and stderr.
 */
export async function main(args: readonly string[], output: Output): Promise<number> {
  try {
    return await runCommand(args, output);
  } catch (error) {
    writeLine(output, errorText(error));
    if (error instanceof UsageError) writeLine(output, "see 'redstart --help'");
    return exitCodeOf(error);
  }
}

async function runCommand(args: readonly string[], output: Output): Promise<number> {
  const [first, second] = args;
  if (first === undefined || first === '--help' || first === '-h') {
    const isAsked = first !== undefined;
    (isAsked ? output.stdout : output.stderr).write(`${helpOf(COMMANDS)}\n`);
    return isAsked ? EXIT.ok : EXIT.usage;
  }
  if (first === '--version' || first === '-v') {
    output.stdout.write(`${version()}\n`);
    return EXIT.ok;
  }
  const family = COMMANDS.filter(({ name }) => name.startsWith(`${first} `));
  const end = args.indexOf('--');
  const options = end === -1 ? args : args.slice(0, end);
  const wantsHelp = options.includes('--help') || options.includes('-h');
  if (wantsHelp && family.length > 0 && second?.startsWith('-')) {
    output.stdout.write(`${family.map(helpOfOne).join('\n\n')}\n`);
    return EXIT.ok;
  }
  const command = find(first, second, family);
  if (!wantsHelp) return command.run(args.slice(family.length > 0 ? 2 : 1));
  output.stdout.write(`${helpOfOne(command)}\n`);
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
