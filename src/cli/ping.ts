import { command } from './command.ts';
import { JSON_OPTION, URL_OPTION, shownUrl, withBroker } from './connection.ts';
import { EXIT } from './failure.ts';
import { logLine, print } from './output.ts';

export const ping = command({
  name: 'ping',
  operands: [],
  summary: 'check whether Redis answers',
  text: 'Prints the URL and the milliseconds that PING took. Exit code 4: it does not answer.',
  options: { ...JSON_OPTION, ...URL_OPTION },
  run: (_operands, { url }) =>
    withBroker(url, async (broker) => {
      await broker.connect(); // rejects with the reason, which ping() does not give
      const began = performance.now();
      if (!(await broker.ping())) {
        logLine(`${shownUrl(url)} does not answer`);
        return EXIT.redis;
      }
      const ms = Math.round((performance.now() - began) * 100) / 100;
      print({ url: shownUrl(url), ms });
      return EXIT.ok;
    }),
});
