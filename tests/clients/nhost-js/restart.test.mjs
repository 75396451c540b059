// What a client keeps over a restart of the server, and while there is none.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { after, mock, test } from 'node:test';
import { open, password, trust } from './nhost.mjs';

const folder = mkdtempSync(join(tmpdir(), 'keystead-'));
let child;
after(() => {
  child?.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

// The same port each time: the client knows its server by it.
async function serve(port) {
  const flags = ['serve', '--listen', `127.0.0.1:${port}`];
  const env = { ...process.env, KEYSTEAD_PROJECT__DEFAULT__NHOST__CLIENT_URL: 'https://app.example' };
  child = spawn(resolve(process.env.KEYSTEAD ?? 'keystead'), flags, {
    cwd: folder,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let log = '';
  child.stderr.on('data', (text) => (log += text));
  const ended = once(child, 'close');
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
  assert.equal(child.exitCode, null, log);
  const ready = JSON.parse(line);
  await trust(join(folder, ready.ca));
  const stop = async () => {
    child.kill('SIGTERM');
    assert.equal((await ended)[0], 0, log);
  };
  return { url: ready.urls[0], port: Number(new URL(ready.urls[0]).port), stop };
}

test('a session outlives the server; while there is none, it is kept', async () => {
  mock.method(console, 'warn', () => {});
  mock.method(console, 'error', () => {});
  let server = await serve(0);
  const { nhost, asked } = open(server);
  const { body } = await nhost.auth.signUpEmailPassword({ email: 'ada@example.com', password });
  const { session } = body;
  await server.stop();

  // Nobody answers, and then somebody who cannot: neither says that the session is over.
  const expired = () => nhost.sessionStorage.storage.set({ ...session, decodedToken: { exp: 1 } });
  expired();
  assert.equal(await nhost.refreshSession(), null);
  await assert.rejects(nhost.auth.getUser(), TypeError);
  const deaf = createServer((socket) => socket.destroy()).listen(server.port, '127.0.0.1');
  await once(deaf, 'listening');
  assert.equal(await nhost.refreshSession(), null);
  assert.equal(nhost.getUserSession().refreshToken, session.refreshToken);
  deaf.close();

  server = await serve(server.port);
  const headers = { Authorization: `Bearer ${session.accessToken}` };
  assert.equal((await nhost.auth.getUser({ headers })).body.id, session.user.id, 'the access token holds');
  asked.length = 0;
  assert.equal((await nhost.auth.getUser()).body.id, session.user.id);
  assert.deepEqual(asked, ['POST /token', 'GET /user']);
  const next = nhost.getUserSession();
  assert.equal(next.refreshTokenId, session.refreshTokenId);
  await server.stop();

  server = await serve(server.port);
  const again = await nhost.refreshSession(0);
  assert.notEqual(again.refreshToken, next.refreshToken);
  assert.equal((await nhost.auth.signOut({ refreshToken: again.refreshToken })).body, 'OK');
  await server.stop();

  server = await serve(server.port);
  await assert.rejects(nhost.auth.refreshToken({ refreshToken: again.refreshToken }), (error) => error.status === 401);
  await server.stop();
});
