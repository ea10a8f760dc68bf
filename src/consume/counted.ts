import type { Delivery, Source } from '../transport/source.ts';

export type Process = (deliveries: Delivery[]) => Promise<void> | undefined;

/** Has the source count each delivery that comes again before it is handled. What is somebody else's by now is not handled. */
export function counted(process: Process, source: Source): Process {
  if (source.begins === undefined) return process;
  const count = async (deliveries: Delivery[]): Promise<void> => {
    const gone = new Set<Delivery>();
    const begin = async (delivery: Delivery): Promise<void> => {
      if ((await source.begins?.(delivery)) === false) gone.add(delivery);
    };
    await Promise.all(deliveries.filter(comesAgain).map(begin));
    const ours = deliveries.filter((delivery) => !gone.has(delivery));
    if (ours.length > 0) await process(ours);
  };
  return (deliveries) => (deliveries.some(comesAgain) ? count(deliveries) : process(deliveries));
}

function comesAgain(delivery: Delivery): boolean {
  return delivery.comesAgain === true;
}
