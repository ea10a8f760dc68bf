import type { App, RunOptions } from '../index.ts';
import { EXIT, UsageError, errorText } from './failure.ts';
import { logLine } from './output.ts';

/** Milliseconds that a process may run on after its app has stopped. */
const LINGER = 2_000;

/** Runs an app to its end and resolves with the exit code; `onReady` is called when it has started. */
export async function serve(app: App, onReady: () => void, options?: RunOptions): Promise<number> {
  const running = app.run(options);
  // Returns the start that run() has begun; run() reports its failure.
  app.start().then(onReady, () => undefined);
  try {
    await running;
    return Number(process.exitCode ?? EXIT.ok); // app.exit() may have set it
  } catch (error) {
    logLine(errorText(error));
    return error instanceof UsageError ? EXIT.usage : EXIT.failed;
  }
}

/** Ends the process after {@link LINGER} ms if something still keeps it running, such as an open connection of the app. */
export function leaveSoon(): void {
  setTimeout(() => {
    logLine('the app is over and something keeps its process open (see onShutdown): ending it');
    process.exit();
  }, LINGER).unref();
}
