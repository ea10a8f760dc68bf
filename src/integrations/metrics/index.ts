// The entry `redstart/metrics`.
import { SetupError, type RedisBroker } from '../../index.ts';
import { FastStreamRecorder } from './faststream.ts';
import { Recorder } from './recorder.ts';

export interface MetricsOptions {
  /**
   * `redstart`: the names in the guide, which begin with `redstart_`. `faststream`: the nine names and the labels
   * of the RedisPrometheusMiddleware of FastStream. Default `redstart`.
   */
  names?: 'redstart' | 'faststream';
  /** The label `app_name` with `names: 'faststream'`. Default `faststream`. */
  appName?: string;
  /**
   * Whether the page has the numbers that are the same from every process: lengths of lists, lag and pending
   * entries of groups, dead letters. Not with `names: 'faststream'`. Default `true`.
   */
  server?: boolean;
}

/** A page of metrics: call it for each scrape. */
export interface MetricsPage {
  /**
   * Resolves with the page in Prometheus' text format 0.0.4. Asks Redis what `broker.health()` asks
   * (PING, LLEN, XINFO GROUPS), and XPENDING and XRANGE for groups that are behind; takes 6 s at
   * most, where Redis does not answer, and never rejects. Answers of Redis are kept for 1 s.
   */
  (): Promise<string>;
  /** The content type to answer a scrape with. */
  readonly contentType: string;
  /** Counts nothing more. */
  stop(): void;
}

const OPTIONS = ['names', 'appName', 'server'];

/**
 * Counts what the brokers do from now on, before or after `start`. Throws `SetupError` for what is
 * no broker or no option.
 */
export function metrics(
  ...given: [RedisBroker, ...RedisBroker[]] | [RedisBroker, ...RedisBroker[], MetricsOptions]
): MetricsPage {
  const last = given.at(-1) as RedisBroker | MetricsOptions;
  const options = isBroker(last) ? {} : last;
  const brokers = (isBroker(last) ? given : given.slice(0, -1)) as readonly RedisBroker[];
  if (brokers.length === 0 || !brokers.every(isBroker))
    throw new SetupError('metrics: expected one or more brokers, then options');
  const { names, appName, server } = checked(options);
  const recorder =
    names === 'faststream'
      ? new FastStreamRecorder(brokers, appName)
      : new Recorder(brokers, server);
  const removers = brokers.map((broker) => broker.observe(recorder.observerOf(broker)));
  return Object.assign(() => recorder.page(), {
    contentType: 'text/plain; version=0.0.4; charset=utf-8',
    stop: () => {
      for (const remove of removers) remove();
    },
  });
}

function checked(options: unknown): Required<MetricsOptions> {
  if (typeof options !== 'object' || options === null)
    throw new SetupError(`metrics: options must be an object, got ${String(options)}`);
  const unknown = Object.keys(options).find((key) => !OPTIONS.includes(key));
  if (unknown !== undefined)
    throw new SetupError(`metrics: there is no option '${unknown}', only ${OPTIONS.join(', ')}`);
  const { names = 'redstart', appName = 'faststream', server = true } = options as MetricsOptions;
  if (names !== 'redstart' && names !== 'faststream')
    throw new SetupError(
      `metrics: 'names' must be 'redstart' or 'faststream', got ${String(names)}`,
    );
  if (typeof appName !== 'string')
    throw new SetupError(`metrics: 'appName' must be a string, got ${String(appName)}`);
  if (typeof server !== 'boolean')
    throw new SetupError(`metrics: 'server' must be a boolean, got ${String(server)}`);
  return { names, appName, server };
}

function isBroker(one: unknown): one is RedisBroker {
  return typeof (one as Partial<RedisBroker> | undefined)?.observe === 'function';
}
