// A certificate for servers of this machine, which openssl makes in a temporary folder.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** `{ cert, key, remove }`: two paths; undefined without openssl. Who is to trust it gets `cert` in NODE_EXTRA_CA_CERTS. */
export function makeCertificate() {
  const folder = mkdtempSync(join(tmpdir(), 'redstart-bench-tls-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  const [cert, key] = ['cert.pem', 'key.pem'].map((name) => join(folder, name));
  // nats.js checks an address as if it were `localhost`.
  const args = [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...[
      '-days',
      '2',
      '-subj',
      '/CN=127.0.0.1',
      '-addext',
      'subjectAltName=IP:127.0.0.1,DNS:localhost',
    ],
    ...['-keyout', key, '-out', cert],
  ];
  const { status } = spawnSync('openssl', args, { stdio: 'ignore' });
  if (status === 0) return { cert, key, remove };
  remove();
  return undefined;
}
