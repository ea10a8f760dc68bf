import { infoOf } from './asyncapi.ts';
import { loadApp, moduleTarget } from './app-module.ts';
import { command, wholeNumber } from './command.ts';
import { EXIT, UsageError } from './failure.ts';
import { interrupted, listen } from './http.ts';
import { logLine } from './output.ts';
import { leaveSoon } from './service.ts';

const DEFAULT_PORT = 8_000;

export const docsServe = command({
  name: 'docs serve',
  operands: ['<file[:export]>'],
  summary: "show an app's AsyncAPI document as a page, with try-it",
  text: `The file is as for 'redstart run'. Nothing is connected: what is tried on the page runs the app's
handlers in this process, with its brokers in memory. Its hooks do not run. The page is drawn by
@asyncapi/react-component if the project has it, and is plain HTML otherwise. Ctrl+C ends it.

  redstart docs serve dist/app.js --port 8000`,
  options: {
    host: { type: 'string', value: 'name', text: 'listen there (default: 127.0.0.1)' },
    port: { type: 'string', value: 'n', text: `listen there (default: ${DEFAULT_PORT})` },
    'no-try': { type: 'boolean', text: 'a page without the form' },
  },
  async run([file = ''], { host = '127.0.0.1', port, 'no-try': noTry = false }) {
    const target = moduleTarget(file, 'docs serve');
    const wanted = wholeNumber(port, 'port') ?? DEFAULT_PORT;
    if (wanted > 65_535) throw new UsageError(`--port: expected at most 65535, got '${port}'`);
    try {
      const { brokers } = await loadApp(target);
      const { asyncapiPage } = await import('../integrations/asyncapi/index.ts');
      const info = infoOf(target);
      const [first, ...others] = brokers as [(typeof brokers)[0] & {}, ...typeof brokers];
      const page = asyncapiPage(first, ...others, {
        ...(info !== undefined && { info }),
        ...(!noTry && { tryIt: () => brokers }),
      });
      const server = await listen(page, host, wanted);
      logLine(`${file} is shown at ${server.url}`);
      await interrupted();
      await server.close();
      await page.stop();
      return EXIT.ok;
    } finally {
      leaveSoon();
    }
  },
});
