/**
 * What is to be done when a signal aborts. One listener for each signal, however many calls share it:
 * Node warns of more than ten listeners, and an application that is asked once asks others many times.
 */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Has `task` run once when `signal` aborts, until {@link offAbort}. Not for a signal that has aborted already. */
export function onAbort(signal: AbortSignal, task: () => void): void {
  const tasks = waiting.get(signal);
  if (tasks !== undefined) {
    tasks.add(task);
    return;
  }
  waiting.set(signal, new Set([task]));
  signal.addEventListener('abort', runAll, { once: true });
}

/** Does nothing for a task that does not wait. */
export function offAbort(signal: AbortSignal, task: () => void): void {
  const tasks = waiting.get(signal);
  if (tasks === undefined || !tasks.delete(task) || tasks.size > 0) return;
  waiting.delete(signal);
  signal.removeEventListener('abort', runAll);
}

function runAll(event: Event): void {
  const signal = event.target as AbortSignal;
  const tasks = waiting.get(signal) ?? [];
  waiting.delete(signal);
  for (const task of tasks) task();
}
