import { logLine } from './output.ts';

/** Milliseconds between two updates at whether the parent process is still there. */
const LOOK = 500;

/**
 * For a command that npx or npm has started: both put a shell between them and it, and pass SIGTERM on to
 * neither. Says so where no terminal would send the signal itself, and has the app stop when its parent
 * is gone. In a container even that is too late: the end of the first process ends all others.
 */
export function mindLauncher(): void {
  const command = process.env['npm_command'];
  if (command === undefined) return;
  const launcher = command === 'exec' ? 'npx' : 'npm';
  if (!process.stderr.isTTY)
    logLine(
      `${launcher} does not pass SIGTERM on to this process: in a container, start node_modules/.bin/redstart without it`,
    );
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(watch); // a second signal would end the process at once
    logLine(`${launcher} has ended: stopping`);
    process.kill(process.pid, 'SIGTERM');
  }, LOOK);
  watch.unref();
}
