// A TLS server for one test, with certificates that openssl makes in about 0.1 s.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { freePort } from '../../scripts/find-redis.mjs';
import { ownServer } from './redis.ts';

export interface Certificate {
  readonly key: Buffer;
  readonly cert: Buffer;
}

export interface TlsServer {
  /** `rediss://localhost:…` */
  readonly url: string;
  readonly port: number;
  /** The certificate authority that clients must trust. */
  readonly ca: Buffer;
  /** A client certificate that the server accepts. */
  readonly client: Certificate;
  /** A self-signed client certificate, which the server refuses. */
  readonly stranger: Certificate;
}

/** Starts a server that accepts only TLS; with `mutual`, clients need a certificate. */
export async function tlsServer({
  mutual = false,
  args = [] as string[],
} = {}): Promise<TlsServer> {
  const folder = mkdtempSync(join(tmpdir(), 'redstart-tls-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const file = (name: string): string => join(folder, name);
  const openssl = (...words: string[]): void => {
    execFileSync('openssl', words, { cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] });
  };
  const make = ['req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  openssl(
    ...make,
    '-x509',
    '-keyout',
    'ca.key',
    '-out',
    'ca.crt',
    '-subj',
    '/CN=Test',
    '-days',
    '2',
  );
  openssl(...make, '-x509', '-keyout', 'stranger.key', '-out', 'stranger.crt', '-subj', '/CN=x');
  writeFileSync(file('names'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  for (const name of ['server', 'client']) {
    openssl(...make, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    const signed = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2'];
    openssl(
      'x509',
      '-req',
      '-in',
      `${name}.csr`,
      ...signed,
      '-extfile',
      'names',
      '-out',
      `${name}.crt`,
    );
  }
  const port = await freePort();
  await ownServer([
    ...['--port', '0', '--tls-port', String(port)],
    ...['--tls-cert-file', file('server.crt'), '--tls-key-file', file('server.key')],
    ...['--tls-ca-cert-file', file('ca.crt'), '--tls-auth-clients', mutual ? 'yes' : 'no'],
    ...['--tls-replication', 'no', ...args],
  ]);
  const pair = (name: string): Certificate => ({
    key: readFileSync(file(`${name}.key`)),
    cert: readFileSync(file(`${name}.crt`)),
  });
  return {
    url: `rediss://localhost:${port}`,
    port,
    ca: readFileSync(file('ca.crt')),
    client: pair('client'),
    stranger: pair('stranger'),
  };
}
