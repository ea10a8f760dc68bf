export interface Found {
  url?: string;
  binary?: string;
  docker?: true;
}

export interface SpawnedRedis {
  url: string;
  port: number;
  pid: number;
  folder: string;
  stop(): Promise<void>;
}

export const HOW_TO_GET_ONE: string;
export function findRedis(env?: NodeJS.ProcessEnv): Found | undefined;
export function findBinary(env?: NodeJS.ProcessEnv): string | undefined;
export function freePort(): Promise<number>;
export function spawnRedis(binary: string, args?: readonly string[]): Promise<SpawnedRedis>;
