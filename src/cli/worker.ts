// One worker process of `redstart run --workers` or `--watch`; its arguments are the module to run and,
// where its supervisor wants pages of metrics, `metrics`.
import { loadApp, moduleTarget } from './app-module.ts';
import { EXIT, UsageError, errorText } from './failure.ts';
import { pageOf } from './metrics-server.ts';
import { logLine } from './output.ts';
import { leaveSoon, serve } from './service.ts';
import type { PageMessage, ScrapeMessage } from './worker-pages.ts';

/** A worker's message to its supervisor: the app has started, it cannot be loaded, or a page of metrics. */
export type WorkerMessage = 'ready' | 'unusable' | PageMessage;

async function notifySupervisor(message: WorkerMessage): Promise<void> {
  if (!process.connected) return;
  await new Promise((resolve) => process.send?.(message, undefined, undefined, resolve));
}

async function main(target: string, hasMetrics: boolean): Promise<number> {
  // Ctrl+C sends SIGINT to the whole process group. Ignored here: the supervisor stops its workers.
  process.on('SIGINT', () => undefined);
  try {
    const app = await loadApp(moduleTarget(target, 'run'));
    const page = hasMetrics ? await pageOf(app) : undefined;
    if (page !== undefined)
      process.on('message', ({ scrape }: ScrapeMessage) => {
        void page().then((text) => notifySupervisor({ page: text, scrape }));
      });
    // The supervisor has ended: it could not stop this process.
    if (!process.connected) return EXIT.failed;
    process.once('disconnect', () => void app.stop().catch(() => undefined));
    const code = await serve(app, () => void notifySupervisor('ready'), { signals: ['SIGTERM'] });
    if (page !== undefined) await notifySupervisor({ page: await page() });
    return code;
  } catch (error) {
    logLine(errorText(error));
    if (!(error instanceof UsageError)) return EXIT.failed;
    await notifySupervisor('unusable');
    return EXIT.usage;
  }
}

const code = await main(process.argv[2] ?? '', process.argv[3] === 'metrics');
process.removeAllListeners('disconnect');
if (process.connected) process.disconnect();
process.exitCode = code;
leaveSoon();
