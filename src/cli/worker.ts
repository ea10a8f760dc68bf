// One worker process of `redstart run --workers` or `--watch`; its argument is the module to run.
import { loadApp, moduleTarget } from './app-module.ts';
import { EXIT, UsageError, errorText } from './failure.ts';
import { logLine } from './output.ts';
import { leaveSoon, serve } from './service.ts';

/** A worker's message to its supervisor: the app has started, or it cannot be loaded. */
export type WorkerMessage = 'ready' | 'unusable';

function notifySupervisor(message: WorkerMessage): void {
  if (process.connected) process.send?.(message);
}

async function main(target: string): Promise<number> {
  // Ctrl+C sends SIGINT to the whole process group. Ignored here: the supervisor stops its workers.
  process.on('SIGINT', () => undefined);
  try {
    const app = await loadApp(moduleTarget(target, 'run'));
    // The supervisor has ended: it could not stop this process.
    if (!process.connected) return EXIT.failed;
    process.once('disconnect', () => void app.stop().catch(() => undefined));
    return await serve(app, () => notifySupervisor('ready'), { signals: ['SIGTERM'] });
  } catch (error) {
    logLine(errorText(error));
    if (!(error instanceof UsageError)) return EXIT.failed;
    notifySupervisor('unusable');
    return EXIT.usage;
  }
}

const code = await main(process.argv[2] ?? '');
process.removeAllListeners('disconnect');
if (process.connected) process.disconnect();
process.exitCode = code;
leaveSoon();
