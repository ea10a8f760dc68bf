import { userInfo } from 'node:os';
import type { RedisBroker } from '../index.ts';
import { loadApp, moduleTarget } from './app-module.ts';
import { command } from './command.ts';
import { URL_OPTION, shownUrl, withBroker } from './connection.ts';
import { EXIT, UsageError } from './failure.ts';
import { interrupted, listen } from './http.ts';
import { logLine } from './output.ts';
import { leaveSoon } from './service.ts';

/** The only interface that it listens on: whoever sees it is on this machine. */
const HOST = '127.0.0.1';

const DEFAULT_PORT = 4650;

export const dashboard = command({
  name: 'dashboard',
  operands: ['[file[:export]]'],
  summary: 'serve the dashboard on this machine',
  text: `Serves it on ${HOST}, until SIGINT or SIGTERM. The file is as for 'redstart run': it is imported and
not started, and its first broker says which Redis and prefix to look at. Without one, --url and
--prefix do. It is read-only unless --actions is given. It needs no Redis to start: while Redis is away, the
page says so, and continues when it is back.

  redstart dashboard --url redis://localhost:6379 --prefix shop:
  redstart dashboard dist/app.js --actions`,
  options: {
    ...URL_OPTION,
    prefix: { type: 'string', value: 'prefix', text: "the brokers' prefix (default: none)" },
    port: { type: 'string', value: 'n', text: `the port, 0 for any (default: ${DEFAULT_PORT})` },
    actions: {
      type: 'boolean',
      text: 'pause, resume, redrive and remove, for whoever is on this machine',
    },
  },
  async run([file], { url, prefix, port, actions = false }) {
    const at = portIn(port);
    if (file === undefined) {
      const options = { logger: false, ...(prefix !== undefined && { prefix }) } as const;
      const what = `${shownUrl(url)}${prefix === undefined ? '' : ` · ${prefix}*`}`;
      return withBroker(url, (broker) => serve(broker, what, at, actions), options);
    }
    if (url !== undefined || prefix !== undefined)
      throw new UsageError(
        `dashboard: ${file} says which Redis and prefix: leave out --url and --prefix`,
      );
    const target = moduleTarget(file, 'dashboard');
    try {
      const [broker, ...others] = (await loadApp(target)).brokers as [
        RedisBroker,
        ...RedisBroker[],
      ];
      if (others.length > 0)
        logLine(`${file} has ${others.length + 1} brokers: the dashboard shows the first`);
      try {
        return await serve(broker, file, at, actions);
      } finally {
        await broker.stop();
      }
    } finally {
      leaveSoon();
    }
  },
});

/** Serves until a signal. */
async function serve(
  broker: RedisBroker,
  what: string,
  port: number,
  actions: boolean,
): Promise<number> {
  const { dashboard: make } = await import('../integrations/dashboard/index.ts');
  const who = userInfo().username;
  const handler = make(broker, {
    title: `redstart · ${what}`,
    ...(actions && { actions, authorize: () => who }),
  });
  const server = await listen(handler, HOST, port);
  const ended = interrupted();
  logLine(`${server.url} shows ${what}${actions ? '' : ', for looking only'}`);
  await ended;
  await server.close();
  return EXIT.ok;
}

function portIn(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT;
  if (/^\d{1,5}$/.test(text) && Number(text) < 65_536) return Number(text);
  throw new UsageError(`--port: expected a port, 0 to 65535, got '${text}'`);
}
