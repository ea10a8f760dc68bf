/**
 * The path or the `file:` URL of this file, or of the bundle that it is in; undefined if it comes from no file.
 * `import.meta.url` says the same, but a file that contains it cannot be compiled to CommonJS: ts-jest leaves it as it
 * is, which is a syntax error there, and esbuild makes it empty.
 */
export function thisFile(): string | undefined {
  // oxlint-disable-next-line typescript/unbound-method -- it is put back, not called.
  const before = Error.prepareStackTrace;
  Error.prepareStackTrace = (_, sites) => sites[0]?.getFileName();
  try {
    const { stack } = new Error('only its place is read');
    return typeof stack === 'string' ? stack : undefined;
  } finally {
    Error.prepareStackTrace = before;
  }
}
