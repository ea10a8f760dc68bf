import { loadApp, moduleTarget } from './app-module.ts';
import { command, wholeNumber } from './command.ts';
import { metricsAddress, pageOf, serveMetrics } from './metrics-server.ts';
import { mindLauncher } from './launcher.ts';
import { logLine } from './output.ts';
import { leaveSoon, serve } from './service.ts';
import { supervise } from './supervisor.ts';

export const run = command({
  name: 'run',
  operands: ['<file[:export]>'],
  summary: 'run an app until SIGINT or SIGTERM',
  text: `The file exports, as its default or under the name given, what createApp() returned, or a
RedisBroker. It is JavaScript, or TypeScript if tsx is installed in the project.
The first signal stops the app when running handlers have ended; the second one ends it at once.
With --workers, a process that ends is started again after a pause that grows from 0.25 to 10 s.
REDSTART_WORKER has the number of each process, from 0.
With --metrics, http://host:port/metrics has one page of all workers for Prometheus.

  redstart run dist/app.js --workers 4 --metrics 9464
  redstart run src/app.ts:app --watch --url redis://localhost:6379`,
  options: {
    workers: { type: 'string', value: 'n', text: 'run n processes and keep them running' },
    watch: { type: 'boolean', text: "start again when code in the file's folder changes" },
    metrics: {
      ...{ type: 'string', value: '[host:]port' },
      text: 'metrics for Prometheus at /metrics; on all interfaces without a host',
    },
    url: { type: 'string', value: 'url', text: 'is REDIS_URL for the app' },
  },
  async run([file = ''], { workers, watch = false, metrics: address, url }) {
    const count = wholeNumber(workers, 'workers');
    const metrics = metricsAddress(address);
    const target = moduleTarget(file, 'run');
    if (url !== undefined) process.env['REDIS_URL'] = url;
    mindLauncher();
    if (count !== undefined || watch)
      return supervise({ target, workers: count ?? 1, watch, metrics });
    process.env['REDSTART_WORKER'] ??= '0';
    try {
      const app = await loadApp(target);
      if (metrics !== undefined) await serveMetrics(metrics, await pageOf(app));
      return await serve(app, () => logLine(`${file} runs, process ${process.pid}`));
    } finally {
      leaveSoon();
    }
  },
});
