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
  if (options.kind === 'list')
    return options.reliable
      ? ReliableListSource.open(readers, options, report, lanes)
      : ListSource.open(readers, options, lanes);
  return options.group === undefined
    ? StreamSource.open(readers, options, lanes)
    : GroupSource.open(readers, options, report, listen, lanes);
}
