// One worker process of `redstart run --workers` or `--watch`; argv: what to run.
import { loadApp, moduleTarget } from './app-module.ts';
import { EXIT, UsageError, tell } from './failure.ts';
import { note } from './output.ts';
import { leaveSoon, serve } from './service.ts';

/** What a worker tells its supervisor: it has started, or never will. */
export type WorkerMessage = 'ready' | 'unusable';

function say(message: WorkerMessage): void {
  if (process.connected) process.send?.(message);
}

async function main(target: string): Promise<number> {
  // Ctrl+C reaches the whole process group: when a worker stops is for the supervisor to say.
  process.on('SIGINT', () => undefined);
  try {
    const app = await loadApp(moduleTarget(target));
    // The supervisor is gone: nobody would stop this process any more.
    if (!process.connected) return EXIT.failed;
    process.once('disconnect', () => void app.stop().catch(() => undefined));
    return await serve(app, () => say('ready'), { signals: ['SIGTERM'] });
  } catch (error) {
    note(tell(error));
    if (!(error instanceof UsageError)) return EXIT.failed;
    say('unusable');
    return EXIT.usage;
  }
}

const code = await main(process.argv[2] ?? '');
process.removeAllListeners('disconnect');
if (process.connected) process.disconnect();
process.exitCode = code;
leaveSoon();
