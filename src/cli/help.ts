import type { Command } from './command.ts';

const WIDTH = 26;

export function helpOf(commands: readonly Command[]): string {
  const list = commands.map(({ name, operands, summary }) =>
    row([name, ...operands].join(' '), summary),
  );
  return `redstart runs apps, and shows and manages what is in Redis.

usage: redstart <command> …

${list.join('\n')}

${row('<command> --help', 'more about a command')}
${row('--version', 'the version of redstart')}

Values are printed to stdout, one line of JSON each; everything else to stderr.
Redis is at --url, or REDIS_URL; a cluster at redis+cluster://host:port,host:port.
Exit codes: 0 done, 1 it failed, 2 the command line is wrong, 3 no answer in time, or nobody to answer,
4 Redis cannot be reached, or refuses.`;
}

export function helpOfOne({ name, operands, summary, text, options }: Command): string {
  const list = Object.entries(options).map(([option, described]) => {
    const value = described.type === 'string' ? ` <${described.value}>` : '';
    return row(`--${option}${value}`, described.text);
  });
  return `redstart ${[name, ...operands].join(' ')}: ${summary}

${text}

${list.join('\n')}`;
}

function row(left: string, right: string): string {
  if (left.length > WIDTH) return `  ${left}\n  ${' '.repeat(WIDTH)} ${right}`;
  return `  ${left.padEnd(WIDTH)} ${right}`;
}
