// Moleculer with its Redis transporter, which has channels only.
import { ServiceBroker } from 'moleculer';

const NAMESPACE = (name) => name.replaceAll(':', '-');

const open = (url, namespace, nodeID) =>
  new ServiceBroker({ namespace, nodeID, transporter: url, logger: false });

export const moleculer = {
  name: 'moleculer',
  label: 'Moleculer',

  async serve(url, names) {
    const broker = open(url, NAMESPACE(names.channel), 'server');
    broker.createService({ name: 'bench', actions: { echo: (ctx) => ctx.params } });
    await broker.start();
    return () => broker.stop();
  },

  async connect(url, names) {
    const broker = open(url, NAMESPACE(names.channel), 'client');
    await broker.start();
    await broker.waitForServices('bench');
    return { call: (_, body) => broker.call('bench.echo', body), close: () => broker.stop() };
  },

  /** An event's packet as another node sends it. */
  frame: (body) =>
    Buffer.from(
      JSON.stringify({
        ...{ ver: '5', sender: 'filler', id: 'abcdefgh-1', event: 'bench.event', data: body },
        ...{ groups: ['bench'], broadcast: false, meta: {}, level: 1, tracing: null },
        ...{ parentID: null, requestID: 'abcdefgh-1', caller: null, needAck: null },
      }),
    ),
  /** Where that node sends it. */
  address: (target) => `MOL-${NAMESPACE(target)}.EVENT.consumer`,

  async consume(url, { target }, handle) {
    const broker = open(url, NAMESPACE(target), 'consumer');
    const handler = (ctx) => {
      if (ctx.params.ok) handle(1);
    };
    broker.createService({ name: 'bench', events: { 'bench.event': { handler } } });
    await broker.start();
    return () => broker.stop();
  },
};
