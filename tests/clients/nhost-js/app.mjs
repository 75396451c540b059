// An app on a host of its own, as far as a browser can tell: a page, and the package's own modules for its scripts.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const modules = dirname(fileURLToPath(import.meta.resolve('@nhost/nhost-js')));

export async function startApp() {
  const app = https.createServer(certificate());
  // Every request of a browser for a page, with the header that would tell where it came from.
  const visits = [];
  app.on('request', (request, reply) => {
    const { pathname, search } = new URL(request.url, 'https://app.example');
    const file = join(modules, pathname.replace('/modules/', ''));
    if (pathname.startsWith('/modules/') && existsSync(file)) {
      reply.writeHead(200, { 'content-type': 'text/javascript' });
      createReadStream(file).pipe(reply);
    } else if (pathname === '/moved') {
      reply.writeHead(302, { location: `https://www.app.example/welcome${search}` }).end();
    } else if (pathname === '/favicon.ico' || pathname.startsWith('/modules/')) {
      reply.writeHead(404).end();
    } else {
      visits.push({ method: request.method, url: request.url, referer: request.headers.referer });
      reply.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html><title>The app</title><h1>Welcome</h1>');
    }
  });
  app.listen(0, '127.0.0.1');
  await once(app, 'listening');
  const stop = () => {
    app.closeAllConnections();
    app.close();
  };
  return { url: `https://127.0.0.1:${app.address().port}`, visits, stop };
}

function certificate() {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-app-'));
  const [key, cert] = ['key.pem', 'cert.pem'].map((name) => join(folder, name));
  const flags = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];
  const made = spawnSync('openssl', [...flags, '-subj', '/CN=app.example', '-keyout', key, '-out', cert]);
  if (made.status !== 0) throw new Error(`openssl: ${made.error ?? made.stderr}`);
  const pair = { key: readFileSync(key), cert: readFileSync(cert) };
  rmSync(folder, { recursive: true });
  return pair;
}
