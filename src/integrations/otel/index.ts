// The entry `redstart/otel`. It alone imports @opentelemetry/api, which is an optional peer.
export { telemetry, type TelemetryOptions } from './telemetry.ts';
export { withTraceIds } from './log-ids.ts';
