import { RedisBroker, createApp } from 'redstart';
import { Greetings } from './greetings.ts';
import { healthServer } from './health.ts';

export const broker = new RedisBroker(process.env['REDIS_URL'] ?? 'redis://localhost:6379');
broker.register(new Greetings());

const health = healthServer(broker);

// `redstart run` starts it, and stops it at SIGTERM when the running handlers have ended.
export default createApp(broker, {
  // The probes are answered from before the start until all handlers have ended: "not ready" then.
  onStartup: () =>
    new Promise<void>((listening, failed) => {
      health.once('error', failed);
      health.listen(Number(process.env['PORT'] ?? 3000), () => listening());
    }),
  onShutdown: () => void health.close(),
});
