// nats.js against a nats-server: another server, for what another broker makes of the same calls.
import { connect } from '@nats-io/transport-node';

const open = (url) =>
  connect({
    servers: url,
    // Its way of finding out where a failed request came from costs each request a stack.
    noAsyncTraces: true,
    ...(url.startsWith('tls:') && { tls: {} }),
  });

export const nats = {
  name: 'nats',
  label: 'NATS',

  async serve(url, names) {
    const connection = await open(url);
    connection.subscribe(names.channel, {
      callback: (error, message) => {
        if (error) throw error;
        message.respond(JSON.stringify(message.json()));
      },
    });
    await connection.flush();
    return () => connection.close();
  },

  async connect(url, names) {
    const connection = await open(url);
    const call = async (_, body) => {
      const answer = await connection.request(names.channel, JSON.stringify(body), {
        timeout: 30_000,
      });
      return answer.json();
    };
    return { call, close: () => connection.close() };
  },
};
