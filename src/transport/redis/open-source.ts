import type { Lanes } from '../lanes.ts';
import type { ListSourceOptions, Report, Source, StreamSourceOptions } from '../source.ts';
import { GroupSource, type Listen } from './group-source.ts';
import { ListSource } from './list-source.ts';
import type { Readers } from './readers.ts';
import { ReliableListSource } from './reliable-list-source.ts';
import { StreamSource } from './stream-source.ts';

/** Opens what is read with commands that block: a list or a stream. */
export function openSource(
  readers: Readers,
  options: ListSourceOptions | StreamSourceOptions,
  report: Report,
  listen: Listen,
  lanes?: Lanes,
): Promise<Source> {
  return readers.use(options.name, async (opener): Promise<Source> => {
    if (options.kind === 'list')
      return options.reliable
        ? ReliableListSource.open(opener, options, report, lanes)
        : ListSource.open(opener, options, lanes);
    return options.group === undefined
      ? StreamSource.open(opener, options, lanes)
      : GroupSource.open(opener, options, report, listen, lanes);
  });
}
