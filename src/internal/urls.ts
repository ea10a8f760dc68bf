/** A host with its port, as in `localhost:6379`, and what follows a slash. */
const PLACE = /^(\[[\da-f:.]+\]|[\w.-]*)(:\d*)?(\/|$)/i;

/** A URL as errors and logs show it: without user name, password and query, whether it can be parsed or not. */
export function withoutCredentials(url: string): string {
  const [scheme = ''] = /^[a-z][a-z\d+.-]*:\/*/i.exec(url) ?? [];
  const at = url.lastIndexOf('@');
  const rest = url.slice(at < 0 ? scheme.length : at + 1).replace(/[?#][^]*/, '');
  // Without an @, a password may stand where a port is expected.
  if (at < 0) return PLACE.test(rest) ? scheme + rest : `${scheme}…`;
  return `${scheme}…@${rest}`;
}
