import type { FleetProcess } from '../index.ts';
import { command, wholeNumber } from './command.ts';
import { JSON_OPTION, PREFIX_OPTION, URL_OPTION, withBroker } from './connection.ts';
import { EXIT } from './failure.ts';
import { logLine, print, printLines } from './output.ts';
import { columns } from './text.ts';

export const health = command({
  name: 'health',
  operands: [],
  summary: 'ask running processes for their health',
  text: `Processes whose broker has the option 'control' and this prefix answer. Prints one line for each,
and its problems. Exit code 1: one is red or not live; 3: none has answered.

  redstart health --prefix shop:`,
  options: {
    timeout: { type: 'string', value: 'ms', text: 'how long to wait for answers (default: 1000)' },
    ...PREFIX_OPTION,
    ...JSON_OPTION,
    ...URL_OPTION,
  },
  run: (_operands, { timeout, json = false, prefix = '', url }) =>
    withBroker(
      url,
      async (broker) => {
        await broker.connect();
        const patience = wholeNumber(timeout, 'timeout') ?? 1_000;
        const [, ...others] = await broker.fleet.status({ timeout: patience }); // the first is this process
        if (json) for (const one of others) print(one);
        else if (others.length > 0) printLines(report(others));
        if (others.length === 0) {
          const where = prefix === '' ? 'without a prefix' : `with the prefix '${prefix}'`;
          logLine(`no process ${where} has answered (see the option 'control' of brokers)`);
          return EXIT.noAnswer;
        }
        const isWell = others.every(({ health: { status, live } }) => status !== 'red' && live);
        return isWell ? EXIT.ok : EXIT.failed;
      },
      { prefix },
    ),
});

const HEAD = ['STATUS', 'HOST', 'PID', 'SINCE', 'LIVE', 'READY', 'SUBSCRIBERS', 'RUNNING'];

/** A line for each process, and below them its problems. */
function report(processes: readonly FleetProcess[]): string[] {
  const rows = processes.map(({ host, pid, since, health: state, subscribers, total }) => [
    ...[
      state.status,
      host,
      pid,
      since,
      state.live ? 'yes' : 'no',
      state.ready ? 'yes' : 'no',
      total,
    ],
    subscribers.reduce((sum, { running }) => sum + running, 0),
  ]);
  const problems = processes.flatMap(({ host, pid, health: state }) =>
    state.problems.map((problem) => [`${host} ${pid}: ${problem}`]),
  );
  return [...columns([HEAD, ...rows]), ...columns(problems)];
}
