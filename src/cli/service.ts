import type { App, RunOptions } from '../index.ts';
import { EXIT, UsageError, tell } from './failure.ts';
import { note } from './output.ts';

/** Milliseconds that a process may stay after its app has stopped. */
const LINGER = 2_000;

/** Runs an app to its end and resolves with the exit code; `onReady` is called when it has started. */
export async function serve(app: App, onReady: () => void, options?: RunOptions): Promise<number> {
  const running = app.run(options);
  // The same start that run() has begun; its failure is run()'s.
  app.start().then(onReady, () => undefined);
  try {
    await running;
    return Number(process.exitCode ?? EXIT.ok); // app.exit() may have set it
  } catch (error) {
    note(tell(error));
    return error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
}

/** Has the process end soon where something of the app's keeps it open. */
export function leaveSoon(): void {
  setTimeout(() => {
    note('the app is over and something keeps its process open (see onShutdown): ending it');
    process.exit();
  }, LINGER).unref();
}
