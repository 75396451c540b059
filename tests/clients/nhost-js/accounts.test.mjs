// Accounts without an address, and the access tokens people give to their programs.
import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { advance, APP, follow, mail, NHOST, open, password, refused, signedUp, start, UUID } from './nhost.mjs';

const CLAIMS = 'https://hasura.io/jwt/claims';
const claims = (nhost) => nhost.getUserSession().decodedToken[CLAIMS];
let server;
before(async () => {
  server = await start({ [`${NHOST}ANONYMOUS`]: 'true', [`${NHOST}PASSWORDLESS_EMAIL`]: 'true' });
  mock.method(console, 'warn', () => {});
  mock.method(console, 'error', () => {});
});
after(() => server.stop());

test('nobody becomes somebody, with a password: the same account', async () => {
  const { nhost } = open(server);
  const { body } = await nhost.auth.signInAnonymous({ displayName: 'A guest', locale: 'en', metadata: { cart: [1, 2] } });
  const { user } = body.session;
  assert.deepEqual(
    [user.email, user.displayName, user.avatarUrl, user.isAnonymous, user.defaultRole, user.roles, user.metadata],
    [undefined, 'A guest', '', true, 'anonymous', ['anonymous'], { cart: [1, 2] }],
  );
  assert.equal(claims(nhost)['x-hasura-user-is-anonymous'], 'true');
  assert.deepEqual(claims(nhost)['x-hasura-allowed-roles'], ['anonymous']);
  await refused(nhost.auth.getUser(), 403, 'forbidden-anonymous');
  const later = { expiresAt: new Date(Date.now() + 60_000).toISOString() };
  await refused(nhost.auth.createPAT(later), 403, 'forbidden-anonymous');

  await advance(server, '16m');
  assert.equal((await nhost.refreshSession()).user.isAnonymous, true, 'and stays for as long as it refreshes');

  await signedUp(server, 'taken@example.com');
  const become = (more) =>
    nhost.auth.deanonymizeUser({ signInMethod: 'email-password', email: 'ada@example.com', password, ...more });
  await refused(become({ email: 'taken@example.com' }), 409, 'user-already-exists');
  await refused(become({ password: undefined }), 400, 'invalid-request');
  await refused(become({ options: { redirectTo: 'https://evil.example' } }), 400, 'redirectTo-not-allowed');
  assert.equal((await become({ options: { displayName: 'Ada' } })).body, 'OK');
  await nhost.refreshSession(0);
  assert.equal(claims(nhost)['x-hasura-user-is-anonymous'], 'false');
  assert.equal(claims(nhost)['x-hasura-default-role'], 'user');
  const { body: me } = await nhost.auth.getUser();
  assert.deepEqual([me.id, me.email, me.displayName, me.isAnonymous], [user.id, 'ada@example.com', 'Ada', false]);
  await refused(become({ email: 'again@example.com' }), 400, 'user-not-anonymous');
  const signedIn = await open(server).nhost.auth.signInEmailPassword({ email: 'ada@example.com', password });
  assert.equal(signedIn.body.session.user.id, user.id);
});

test('nobody becomes somebody, by a link: the sessions until then are over', async () => {
  const { nhost } = open(server);
  const { body } = await nhost.auth.signInAnonymous();
  assert.equal(body.session.user.displayName, 'Anonymous User');
  const email = 'bob@example.com';
  assert.equal((await nhost.auth.deanonymizeUser({ signInMethod: 'passwordless', email })).body, 'OK');
  await refused(nhost.auth.refreshToken({ refreshToken: body.session.refreshToken }), 401, 'invalid-refresh-token');
  const { link, template } = await mail(server, email);
  assert.equal(template, 'signin-passwordless');
  const { searchParams } = await follow(link);
  const next = await nhost.auth.refreshToken({ refreshToken: searchParams.get('refreshToken') });
  const { id, emailVerified, isAnonymous } = next.body.user;
  assert.deepEqual([id, emailVerified, isAnonymous], [body.session.user.id, true, false]);
});

test('a personal access token signs in until sign-out everywhere', async () => {
  const { nhost, session } = await signedUp(server, 'carol@example.com');
  const expiresAt = new Date(Date.now() + 90 * 86_400_000).toISOString();
  const { body } = await nhost.auth.createPAT({ expiresAt, metadata: { name: 'CI' } });
  const { id, personalAccessToken, ...rest } = body;
  assert.match(id, UUID);
  assert.match(personalAccessToken, UUID);
  assert.deepEqual(rest, {});

  const program = open(server).nhost;
  for (const _ of ['again and', 'again']) {
    const signedIn = await program.auth.signInPAT({ personalAccessToken });
    assert.deepEqual(Object.keys(signedIn.body), ['session']);
    assert.equal(signedIn.body.session.user.id, session.user.id);
    assert.equal((await program.auth.getUser()).body.email, 'carol@example.com');
  }
  await advance(server, '16m');
  assert.equal((await program.auth.getUser()).body.email, 'carol@example.com', 'it refreshes like any session');

  // Neither kind of token serves as the other.
  await refused(program.auth.signInPAT({ personalAccessToken: nhost.getUserSession().refreshToken }), 401, 'invalid-pat');
  await refused(program.auth.refreshToken({ refreshToken: personalAccessToken }), 401, 'invalid-refresh-token');

  await nhost.auth.signOut({ all: true });
  const { nhost: late } = open(server);
  await refused(late.auth.signInPAT({ personalAccessToken }), 401, 'invalid-pat');
  await assert.rejects(program.auth.getUser(), (error) => error.status === 401);
});

test('a personal access token ends on its day', async () => {
  const { nhost } = await signedUp(server, 'dora@example.com');
  const expiresAt = new Date(Date.now() + 3_600_000).toISOString();
  const { personalAccessToken } = (await nhost.auth.createPAT({ expiresAt })).body;
  const program = open(server).nhost.auth;
  await program.signInPAT({ personalAccessToken });
  await advance(server, '61m');
  await refused(program.signInPAT({ personalAccessToken }), 401, 'invalid-pat');
});

test('links lead to the app, whatever is asked', async () => {
  const { nhost } = open(server);
  const options = { redirectTo: `${APP}/welcome?b=2&a=1` };
  await nhost.auth.signInPasswordlessEmail({ email: 'erin@example.com', options });
  const { link } = await mail(server, 'erin@example.com');
  const { searchParams: of } = new URL(link);
  const url = nhost.auth.verifyTicketURL({ ticket: of.get('ticket'), type: of.get('type'), redirectTo: 'https://evil.example' });
  const away = await follow(url);
  assert.equal(away.origin, APP);
  assert.equal(away.searchParams.get('error'), 'redirectTo-not-allowed');
  assert.equal(away.searchParams.get('refreshToken'), null);
  const home = await follow(link);
  assert.match(home.href, /^https:\/\/app\.example\/welcome\?a=1&b=2&refreshToken=[0-9a-f-]{36}&type=/);
});
