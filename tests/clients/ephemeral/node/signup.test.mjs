// An app's tests against a real server in memory:
//
//   KEYSTEAD=path/of/keystead node --test tests/clients/ephemeral/node/signup.test.mjs
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { Keystead } from './keystead.mjs';

let server;
before(async () => {
  server = await Keystead.start({
    KEYSTEAD_PROJECT__DEFAULT__VERIFICATION__MODE: 'strict',
    KEYSTEAD_PROJECT__DEFAULT__VERIFICATION__DELIVERY: 'mail',
  });
});
after(() => server.stop());

const password = 'correct horse';
const bearer = (session) => ({ authorization: `Bearer ${session.access_token}` });

test('sign up, verify by mail, expire, refresh', async () => {
  const email = 'ada@example.com';
  const signUp = await server.post('/api/auth/signup', { email, password });
  assert.equal(signUp.status, 202);
  assert.equal(signUp.body.verification_token, undefined, 'it is in the mail, and nowhere else');

  const [mail] = await server.mailbox(email);
  assert.equal(mail.template, 'verify-email');
  assert.ok(mail.text.includes(mail.code));
  const confirmed = await server.post('/api/auth/verify-email/confirm', { token: mail.code });
  assert.equal(confirmed.status, 200, JSON.stringify(confirmed.body));

  const { body: session } = await server.post('/api/auth/login', { email, password });
  assert.equal((await server.get('/api/auth/me', bearer(session))).status, 200);
  await server.advance('15m');
  assert.equal((await server.get('/api/auth/me', bearer(session))).status, 401, 'the access token has expired');

  const refreshed = await server.post('/api/auth/refresh', { refresh_token: session.refresh_token });
  assert.equal(refreshed.status, 200);
  const me = await server.get('/api/auth/me', bearer(refreshed.body));
  assert.equal(me.body.user.email, email);
});

test('a second server has data of its own, and leaves nothing behind', async () => {
  const other = await Keystead.start();
  assert.notEqual(other.url, server.url);
  assert.equal((await other.post('/api/auth/login', { email: 'ada@example.com', password })).status, 401);
  await other.stop();
  assert.equal(existsSync(other.caFile), false);
});
