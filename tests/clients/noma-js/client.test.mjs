// The client against a real server over HTTPS:
//
//   KEYSTEAD=path/of/keystead node --test tests/clients/noma-js/client.test.mjs
//
// It starts the server, waits for its ready line, and runs itself again with the server's CA in NODE_EXTRA_CA_CERTS,
// which Node reads only when it starts.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import * as noma from './client.mjs';

if (process.env.KEYSTEAD_READY) {
  against(JSON.parse(process.env.KEYSTEAD_READY));
} else {
  test('the client against a real server', start);
}

async function start() {
  const folder = mkdtempSync(join(tmpdir(), 'keystead-'));
  const binary = resolve(process.env.KEYSTEAD ?? 'keystead');
  const flags = ['serve', '--listen', '127.0.0.1:0'];
  const server = spawn(binary, flags, { cwd: folder, stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    const [line] = await once(createInterface(server.stdout), 'line');
    const inner = { ...process.env, KEYSTEAD_READY: line, NODE_EXTRA_CA_CERTS: join(folder, JSON.parse(line).ca) };
    delete inner.NODE_TEST_CONTEXT;
    const run = spawnSync(process.execPath, ['--test-reporter=spec', fileURLToPath(import.meta.url)], { env: inner });
    assert.equal(run.status, 0, `${run.stdout}${run.stderr}`);
    assert.match(String(run.stdout), /pass 6\b/, 'all of them ran');
  } finally {
    server.kill('SIGTERM');
    const [code] = await once(server, 'exit');
    rmSync(folder, { recursive: true });
    assert.equal(code, 0, 'SIGTERM ends the server well');
  }
}

function against(ready) {
  const client = (projectUserAuth) =>
    noma.createClient({ projectId: ready.projects[0].id, baseUrl: `${ready.urls[0]}/api/`, projectUserAuth });
  const password = 'correct horse';
  const fails = (Class, statusCode, code) => (error) =>
    error instanceof Class && error.statusCode === statusCode && error.code === code;

  test('sign-up to sign-out, with events', async () => {
    const { auth } = client();
    const events = [];
    auth.onAuthStateChange((event, session) => events.push([event, Boolean(session.accessToken)]));
    const signedUp = await auth.signUp({ email: 'Ada@Example.com', password, display_name: 'Ada' });
    assert.equal(signedUp.token_type, 'Bearer');
    assert.ok(new Date(signedUp.expires_at) < new Date(signedUp.refresh_token_expires_at));
    const { id, uuid, ...user } = await auth.me();
    assert.equal(typeof id, 'number');
    assert.match(uuid, /^[0-9a-f-]{36}$/);
    assert.deepEqual(user, { email: 'ada@example.com', display_name: 'Ada', email_verified_at: null, metadata: null });
    await auth.refreshSession();
    assert.notEqual(auth.getSession().refreshToken, signedUp.refresh_token);
    assert.equal((await auth.signOut()).message, 'Logged out.');
    assert.deepEqual(events, [['signed_in', true], ['token_refreshed', true], ['signed_out', false]]);
    await assert.rejects(auth.me(), fails(noma.AuthenticationError, 401, 'AUTHENTICATION_ERROR'));
    assert.equal(events.at(-1)[0], 'auth_error');
  });

  test('a 401 leads to one refresh, shared, and one more try', async () => {
    const { auth, projectUserAuth } = client();
    const { refresh_token: refreshToken } = await auth.signUp({ email: 'bob@example.com', password });
    let refreshes = 0;
    auth.onAuthStateChange((event) => (refreshes += event === 'token_refreshed'));
    projectUserAuth.setSession({ accessToken: 'v4.public.expired', refreshToken });
    const users = await Promise.all([auth.me(), auth.me(), auth.listUserApiKeys()]);
    assert.equal(users[0].email, 'bob@example.com');
    assert.equal(refreshes, 1);
  });

  test('a wrong current password is 422 and refreshes nothing; the right one changes it', async () => {
    const { auth } = client();
    await auth.signUp({ email: 'carol@example.com', password });
    const before = auth.getSession().refreshToken;
    const wrong = { current_password: 'not this', new_password: 'battery staple' };
    await assert.rejects(auth.changePassword(wrong), (error) => {
      assert.ok(fails(noma.ValidationError, 422, 'VALIDATION_ERROR')(error));
      return Array.isArray(error.details.current_password);
    });
    assert.equal(auth.getSession().refreshToken, before);
    await auth.changePassword({ current_password: password, new_password: 'battery staple' });
    await auth.signInWithPassword({ email: 'carol@example.com', password: 'battery staple' });
    assert.equal((await auth.signOutAll()).message, 'Logged out from all sessions.');
  });

  test('errors by status, with the rest of the body in details', async () => {
    const { auth } = client();
    await assert.rejects(auth.signUp({ email: 'no', password: 'short' }), (error) => {
      assert.ok(fails(noma.ValidationError, 422, 'VALIDATION_ERROR')(error));
      return 'email' in error.details && 'password' in error.details;
    });
    const guess = { email: 'dave@example.com', password: 'wrong' };
    for (let attempt = 0; attempt < 5; attempt++) {
      await assert.rejects(auth.signInWithPassword(guess), fails(noma.AuthenticationError, 401, 'AUTHENTICATION_ERROR'));
    }
    await assert.rejects(auth.signInWithPassword(guess), (error) => {
      assert.ok(fails(noma.RateLimitError, 429, 'RATE_LIMIT_ERROR')(error));
      return Number.isInteger(error.details.retry_after);
    });
    const social = auth.signInWithSocial({ provider: 'google', id_token: 'a.b.c' });
    await assert.rejects(social, fails(noma.ValidationError, 422, 'VALIDATION_ERROR'));
    const stranger = noma.createClient({ projectId: '00000000-0000-4000-8000-000000000000', baseUrl: `${ready.urls[0]}/api` });
    await assert.rejects(stranger.auth.signInWithPassword(guess), fails(noma.NotFoundError, 404, 'NOT_FOUND'));
    const nowhere = noma.createClient({ projectId: 'x', baseUrl: 'https://127.0.0.1:1/api' });
    await assert.rejects(nowhere.auth.signInWithPassword(guess), fails(noma.NetworkError, undefined, 'NETWORK_ERROR'));
  });

  test('verification by the app', async () => {
    const { auth } = client();
    await auth.signUp({ email: 'erin@example.com', password });
    const { verification_token: token } = await auth.resendVerificationEmail({ email: 'erin@example.com' });
    assert.equal((await auth.resendVerificationEmail({ email: 'erin@example.com' })).resend_cooldown_active, true);
    const { user } = await auth.confirmVerificationEmail({ token });
    assert.ok(!Number.isNaN(Date.parse(user.email_verified_at)));
    await assert.rejects(auth.confirmVerificationEmail({ token }), fails(noma.ValidationError, 422, 'VALIDATION_ERROR'));
  });

  test('API keys', async () => {
    const { auth } = client();
    await auth.signUp({ email: 'frank@example.com', password });
    const key = await auth.createUserApiKey({ name: 'CI', scopes: ['content:read'] });
    assert.ok(key.plain_text_key.startsWith(`${key.key_prefix}_`));
    assert.equal((await auth.revokeUserApiKey(key.id)).message, 'API key revoked.');
    const [listed] = (await auth.listUserApiKeys()).data;
    assert.ok(listed.revoked_at && !('plain_text_key' in listed));
    await assert.rejects(auth.revokeUserApiKey(999), fails(noma.NotFoundError, 404, 'NOT_FOUND'));
  });
}
