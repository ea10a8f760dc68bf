// Puts messages in front of a consumer as fast as Redis takes them, and costs next to nothing itself:
// one command, repeated in one buffer, on a bare socket.
import { once } from 'node:events';
import { connect } from 'node:net';

/** Commands in one write. */
const CHUNK = 1_024;
/** Messages of a channel that may be on their way: far less than what Redis or a contender gives up at. */
const WINDOW = 32_768;
const NEWLINE = 10;

const COMMANDS = {
  channel: (name, frame) => ['PUBLISH', name, frame],
  list: (name, frame) => ['RPUSH', name, frame],
  stream: (name, frame) => ['XADD', name, '*', '__data__', frame],
};
/** Lines of a reply. */
const LINES = { channel: 1, list: 1, stream: 2 };

/** Sends `count` copies; `consumed` gives how many have been handled, where that matters. */
export async function fill(url, { kind, name, frame, count }, consumed = () => Infinity) {
  const socket = await open(url);
  const command = serialise(COMMANDS[kind](name, frame));
  const chunk = Buffer.concat(Array.from({ length: CHUNK }, () => command));
  let lines = 0;
  let wake;
  socket.on('data', (data) => {
    for (let at = data.indexOf(NEWLINE); at >= 0; at = data.indexOf(NEWLINE, at + 1)) lines++;
    wake?.();
  });
  const answered = () => lines / LINES[kind];
  for (let sent = 0; sent < count;) {
    const commands = Math.min(CHUNK, count - sent);
    socket.write(commands === CHUNK ? chunk : chunk.subarray(0, commands * command.length));
    sent += commands;
    // Two chunks on their way keep Redis busy.
    while (answered() < Math.min(count, sent - CHUNK)) await new Promise((done) => (wake = done));
    while (sent - consumed() > WINDOW) await new Promise((done) => setTimeout(done, 1));
  }
  while (answered() < count) await new Promise((done) => (wake = done));
  socket.destroy();
}

async function open(url) {
  const { hostname, port, username, password } = new URL(url);
  const socket = connect(Number(port || 6379), hostname);
  await once(socket, 'connect');
  if (!password) return socket;
  socket.write(
    serialise(['AUTH', decodeURIComponent(username) || 'default', decodeURIComponent(password)]),
  );
  const [reply] = await once(socket, 'data');
  if (!reply.toString().startsWith('+OK')) throw new Error(`Redis: ${reply}`);
  return socket;
}

function serialise(parts) {
  const buffers = [Buffer.from(`*${parts.length}\r\n`)];
  for (const part of parts) {
    const bytes = Buffer.from(part);
    buffers.push(Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n'));
  }
  return Buffer.concat(buffers);
}
