/**
 * Calls `check` every 5 ms until it neither throws nor returns false. After `within` milliseconds, fails with its last error:
 * by default so late that a machine that is busy with something else makes no test fail.
 */
export async function eventually<T>(check: () => T | Promise<T>, within = 40_000): Promise<T> {
  const deadline = performance.now() + within;
  for (;;) {
    try {
      const value = await check();
      if (value !== false) return value;
      if (performance.now() > deadline) throw new Error(`still false after ${within} ms`);
    } catch (error) {
      if (performance.now() > deadline) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
