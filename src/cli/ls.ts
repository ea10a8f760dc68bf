import { command, wholeNumber } from './command.ts';
import { JSON_OPTION, PREFIX_OPTION, URL_OPTION, withBroker } from './connection.ts';
import { EXIT } from './failure.ts';
import { logLine, print, printLines } from './output.ts';
import { findPlaces, lookAt, nothingUnder, type Place } from './places.ts';
import { columns } from './text.ts';

const DEFAULT_MAX = 1_000;

export const ls = command({
  name: 'ls',
  operands: [],
  summary: 'list streams, lists and channels, and who reads them',
  text: `Of each stream its entries and its groups: entries that wait (lag) and that are not acknowledged
(pending); of each list its items; of each channel its receivers. Exit code 1: there are none.

  redstart ls --prefix shop:`,
  options: {
    ...PREFIX_OPTION,
    count: {
      type: 'string',
      value: 'n',
      text: `the largest number to print (default: ${DEFAULT_MAX})`,
    },
    ...JSON_OPTION,
    ...URL_OPTION,
  },
  run: (_operands, { count, json = false, prefix = '', url }) =>
    withBroker(
      url,
      async (broker) => {
        await broker.connect();
        const max = wholeNumber(count, 'count') ?? DEFAULT_MAX;
        const { places: found, hasMore } = await findPlaces(broker, max);
        const places = await lookAt(broker.client, found);
        if (json) for (const place of places) print(place);
        else if (places.length > 0) printLines(columns([HEAD, ...places.flatMap(rowsOf)]));
        if (hasMore) logLine(`there are more than ${max}: give a longer --prefix, or --count`);
        if (places.length > 0) return EXIT.ok;
        logLine(nothingUnder(prefix));
        return EXIT.failed;
      },
      { prefix },
    ),
});

const HEAD = ['KIND', 'NAME', 'LENGTH', 'GROUP', 'LAG', 'PENDING', 'CONSUMERS'];

/** A line for each group of a stream, one for everything else. A number that Redis does not know is `?`. */
function rowsOf({ kind, name, length, groups }: Place): (string | number | undefined)[][] {
  if (groups.length === 0) return [[kind, name, length]];
  return groups.map((group) => [
    ...[kind, name, length],
    ...[group.name, group.lag ?? '?', group.pending, group.consumers],
  ]);
}
