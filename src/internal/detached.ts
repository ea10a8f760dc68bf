import { AsyncResource } from 'node:async_hooks';

/** Made while the module loads: outside of whatever a caller's AsyncLocalStorage holds. */
const outside = new AsyncResource('redstart');

/**
 * Runs what goes on after its caller is done, such as a loop that reads: it must not keep the caller's
 * request, transaction or span in its AsyncLocalStorage for ever.
 */
export function detached<T>(run: () => T): T {
  return outside.runInAsyncScope(run);
}
