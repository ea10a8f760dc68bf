// redstart as in contenders/redstart.mjs, with what looks at it. One variant runs in a process, since OpenTelemetry's
// parts are global.
import { LABELS } from '../labels.mjs';
import { loadIntegration, loadTracing } from '../redstart.mjs';
import { variant } from './redstart.mjs';

const nothing = () => undefined;
/** What comes with every call: sent, received, handled, answered, settled, called. */
const EMPTY = {
  published: nothing,
  received: nothing,
  handled: nothing,
  answered: nothing,
  settled: nothing,
  called: nothing,
};

async function watchBy(broker, integration, name) {
  const made = (await loadIntegration(integration))[name];
  return integration === 'metrics' ? made(broker) : broker.observe(made());
}

/** With an SDK that records all spans or none, and writes them nowhere. */
async function traceWith(broker, isSampled) {
  const { api, sdk, contexts, core } = loadTracing();
  const exporter = {
    export: (_, done) => done({ code: core.ExportResultCode.SUCCESS }),
    shutdown: async () => undefined,
  };
  api.trace.setGlobalTracerProvider(
    new sdk.TracerProvider({
      sampler: isSampled ? new sdk.AlwaysOnSampler() : new sdk.AlwaysOffSampler(),
      spanProcessors: [new sdk.BatchSpanProcessor({ exporter })],
    }),
  );
  api.context.setGlobalContextManager(new contexts.AsyncLocalStorageContextManager().enable());
  api.propagation.setGlobalPropagator(new core.W3CTraceContextPropagator());
  await watchBy(broker, 'otel', 'telemetry');
}

const watched = (name, watch) => variant({ name, label: LABELS[name], watch });

export const unobserved = watched('unobserved', async () => undefined);
export const observed = watched('observed', async (broker) => broker.observe(EMPTY));
export const metered = watched('metered', (broker) => watchBy(broker, 'metrics', 'metrics'));
export const untraced = watched('untraced', (broker) => watchBy(broker, 'otel', 'telemetry'));
export const unsampled = watched('unsampled', (broker) => traceWith(broker, false));
export const traced = watched('traced', (broker) => traceWith(broker, true));
