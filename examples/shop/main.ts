// Runs services until SIGTERM: `node main.js` all of them in this process, `node main.js orders stock` these two.
// For spans, register OpenTelemetry's SDK first: `node --import ./telemetry.js main.js`; see docs/guide/tracing.md.
import { newShop } from './shop.ts';

const { REDIS_URL, PORT, OPERATIONS_PORT } = process.env;
const named = process.argv.slice(2);
const shop = newShop({
  redis: REDIS_URL ?? 'redis://localhost:6379',
  port: Number(PORT ?? 3000),
  operationsPort: Number(OPERATIONS_PORT ?? 9464),
  ...(named.length > 0 ? { services: named } : {}),
});
await shop.app.run();
