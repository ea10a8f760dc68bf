import { Cluster, Command, Redis } from 'ioredis';

export type CommandClass = typeof Command;

/**
 * The class of the commands that a client sends. A client of another copy of ioredis, perhaps of
 * another release, takes only those of its own copy: ioredis 6 calls methods on them that the commands
 * of ioredis 5 do not have.
 */
export function commandClassOf(client: Redis | Cluster): CommandClass {
  if (client instanceof Redis || client instanceof Cluster) return Command;
  // Only `Redis` names its class, so the client makes a command, which goes nowhere.
  let made: object | undefined;
  const probe = Object.create(client, {
    options: { value: {} },
    sendCommand: { value: (command: object) => void (made = command) },
  }) as Redis;
  void probe.call('PING');
  return (made?.constructor ?? Command) as CommandClass;
}
