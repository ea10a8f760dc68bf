/** Waits until `check` neither throws nor returns false, looking every few milliseconds; then fails with what it said last. */
export async function eventually<T>(check: () => T | Promise<T>, within = 5_000): Promise<T> {
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
