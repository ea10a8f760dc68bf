import { connect } from 'node:net';
import { onTestFinished } from 'vitest';
import { redisUrl } from './redis.ts';

/**
 * Calls `see` for every command that the server carries out from now on, until the test ends. Not by
 * ioredis: where commands follow the answer to its MONITOR at once, it takes the first for an answer
 * and gives up with "Command queue state error".
 */
export async function monitor(
  see: (args: readonly string[]) => void,
  url = redisUrl(),
): Promise<void> {
  const { hostname, port, username, password } = new URL(url);
  const socket = connect(Number(port || 6379), hostname);
  onTestFinished(() => void socket.destroy());
  if (password !== '') socket.write(`AUTH ${username || 'default'} ${password}\r\n`);
  socket.write('MONITOR\r\n');
  // Before it, the answer to AUTH.
  let answers = password === '' ? 1 : 2;
  let text = '';
  await new Promise<void>((resolve, reject) => {
    socket.on('error', reject);
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      const lines = `${text}${chunk}`.split('\r\n');
      text = lines.pop() as string;
      for (const line of lines) {
        if (line.startsWith('-')) reject(new Error(`MONITOR: ${line.slice(1)}`));
        else if (answers === 0) see(argsOf(line));
        else if (--answers === 0) resolve();
      }
    });
  });
}

/** Of a line such as `+1700000000.123456 [0 127.0.0.1:50000] "set" "key" "a \"value\""`. */
function argsOf(line: string): string[] {
  return [...line.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, quoted = '']) =>
    quoted.replaceAll(/\\(["\\])/g, '$1'),
  );
}
