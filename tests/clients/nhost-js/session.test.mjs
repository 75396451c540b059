// Sessions, tokens and errors as @nhost/nhost-js sees them:
//
//   npm ci --ignore-scripts --prefix tests/clients/nhost-js
//   KEYSTEAD=path/of/keystead node --test tests/clients/nhost-js/
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { rmSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, mock, test } from 'node:test';
import { FetchError } from '@nhost/nhost-js/fetch';
import { advance, APP, NHOST, open, password, refused, signedUp, start, UUID } from './nhost.mjs';

const CLAIMS = 'https://hasura.io/jwt/claims';
const folder = mkdtempSync(join(tmpdir(), 'keystead-'));
let server;
before(async () => {
  const file = join(folder, 'keystead.toml');
  writeFileSync(
    file,
    `[project.default.nhost.custom_claims]
     organisation = "metadata.organisation.id"
     Tags = "metadata.tags[*]"
     seats = "metadata.seats"
     [project.default.nhost.custom_claims_defaults]
     seats = "1"`,
  );
  server = await start({ KEYSTEAD_CONFIG: file, [`${NHOST}ALLOWED_ROLES`]: 'me,user,editor' });
  // What the package has to say of a failed refresh.
  mock.method(console, 'warn', () => {});
  mock.method(console, 'error', () => {});
});
after(async () => {
  await server.stop();
  rmSync(folder, { recursive: true });
});

test('sign-up: a session, kept in a storage of ones own, with metadata and custom claims in its token', async () => {
  const kept = [];
  const storage = { get: () => kept.at(-1) ?? null, set: (value) => kept.push(value), remove: () => kept.push(null) };
  const { nhost, asked } = open(server, { storage });
  const heard = [];
  const silence = nhost.sessionStorage.onChange((session) => heard.push(session?.user.email));
  const metadata = { organisation: { id: 'o-1' }, tags: ['a', 'b'], 'Zürich': '☂' };
  const options = { displayName: 'Ada', locale: 'en', metadata, allowedRoles: ['user', 'editor'], defaultRole: 'editor' };
  const reply = await nhost.auth.signUpEmailPassword({ email: 'Ada@Example.com', password, options });
  assert.equal(reply.status, 200);
  assert.deepEqual(Object.keys(reply.body), ['session']);

  const { decodedToken, ...session } = kept[0];
  assert.deepEqual(session, reply.body.session, 'what was answered is what is kept');
  assert.deepEqual(heard, [session.user.email]);
  assert.deepEqual(Object.keys(session).sort(), [
    'accessToken', 'accessTokenExpiresIn', 'refreshToken', 'refreshTokenId', 'user',
  ]);
  assert.equal(session.accessTokenExpiresIn, 900);
  for (const id of [session.refreshToken, session.refreshTokenId, session.user.id]) assert.match(id, UUID);

  const { id, createdAt, email, roles, ...user } = session.user;
  assert.ok(Math.abs(Date.parse(createdAt) - Date.now()) < 60_000, createdAt);
  assert.equal(email.toLowerCase(), 'ada@example.com');
  assert.deepEqual([...roles].sort(), ['editor', 'user']);
  const face = createHash('md5').update('ada@example.com').digest('hex');
  assert.deepEqual(user, {
    displayName: 'Ada',
    avatarUrl: `https://www.gravatar.com/avatar/${face}?d=blank&r=g`,
    locale: 'en',
    emailVerified: false,
    phoneNumberVerified: false,
    isAnonymous: false,
    defaultRole: 'editor',
    metadata,
    activeMfaType: null,
  });

  const { iat, exp, iss, sub, [CLAIMS]: claims, ...rest } = decodedToken;
  assert.deepEqual(rest, {});
  assert.equal(exp - iat, 900_000, 'milliseconds, once decoded');
  assert.equal(sub, id);
  assert.ok(iss.startsWith(server.url), iss);
  claims['x-hasura-allowed-roles'].sort();
  assert.deepEqual(claims, {
    'x-hasura-allowed-roles': ['editor', 'user'],
    'x-hasura-default-role': 'editor',
    'x-hasura-user-id': id,
    'x-hasura-user-is-anonymous': 'false',
    'x-hasura-organisation': 'o-1',
    'x-hasura-tags': ['a', 'b'],
    'x-hasura-seats': '1',
  });

  const me = await nhost.auth.getUser();
  assert.deepEqual(me.body, session.user);
  assert.deepEqual(asked, ['POST /signup/email-password', 'GET /user']);
  silence();
  nhost.clearSession();
  assert.equal(nhost.getUserSession(), null);
  assert.equal(heard.length, 1);
});

test('sign-in; the address in any case', async () => {
  const { session: first } = await signedUp(server, 'bob@example.com');
  const { nhost } = open(server);
  const { body } = await nhost.auth.signInEmailPassword({ email: 'BOB@example.com', password });
  assert.deepEqual(Object.keys(body), ['session']);
  assert.equal(body.session.user.id, first.user.id);
  assert.notEqual(body.session.refreshTokenId, first.refreshTokenId);
  assert.equal(nhost.getUserSession().accessToken, body.session.accessToken);
});

test('the published key proves the token', async () => {
  const { nhost, session } = await signedUp(server, 'carol@example.com');
  const { keys } = (await nhost.auth.getJWKs()).body;
  const [header, payload, signature] = session.accessToken.split('.');
  const { alg, kid, typ } = JSON.parse(Buffer.from(header, 'base64url'));
  assert.deepEqual([alg, typ], ['ES256', 'JWT']);
  const { use, ...jwk } = keys.find((key) => key.kid === kid);
  assert.deepEqual([use, jwk.alg, jwk.d], ['sig', 'ES256', undefined]);
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
  const proves = (text) =>
    crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, Buffer.from(signature, 'base64url'), Buffer.from(text));
  assert.equal(await proves(`${header}.${payload}`), true);
  assert.equal(await proves(`${header}.x${payload}`), false);
});

test('the token, asked about', async () => {
  const { nhost, session } = await signedUp(server, 'dora@example.com');
  assert.equal((await nhost.auth.verifyToken()).body, 'OK');
  const stranger = open(server).nhost.auth;
  assert.equal((await stranger.verifyToken({ token: session.accessToken })).body, 'OK');
  assert.equal((await stranger.verifyToken({ token: `Bearer ${session.accessToken}` })).body, 'OK');
  await refused(stranger.verifyToken({ token: 'a.b.c' }), 400, 'invalid-request');
  await refused(stranger.verifyToken(), 400, 'invalid-request');
});

test('it refreshes by itself in the last minute, in place', async () => {
  const { nhost, asked, session } = await signedUp(server, 'erin@example.com');
  await advance(server, '13m');
  await nhost.auth.getUser();
  assert.deepEqual(asked.splice(0), ['GET /user']);
  await advance(server, '61s');
  const { body } = await nhost.auth.getUser();
  assert.deepEqual(asked.splice(0), ['POST /token', 'GET /user']);
  const next = nhost.getUserSession();
  assert.equal(next.refreshTokenId, session.refreshTokenId);
  assert.notEqual(next.refreshToken, session.refreshToken);
  assert.notEqual(next.accessToken, session.accessToken);
  assert.deepEqual(next.user, body);
  assert.equal(next.decodedToken.exp - Date.now() > 890_000, true);

  await advance(server, '29d');
  await nhost.auth.getUser();
  assert.deepEqual(asked.splice(0), ['POST /token', 'GET /user'], 'the session lives on from refresh to refresh');
});

test('public endpoints do not look at the token that comes along', async () => {
  const { nhost, asked } = await signedUp(server, 'frank@example.com');
  await advance(server, '31d');
  // Too old for a refresh: the session goes, and what was asked is answered all the same.
  const { body } = await nhost.auth.signInEmailPassword({ email: 'frank@example.com', password });
  assert.ok(body.session.accessToken);
  assert.deepEqual(asked, ['POST /token', 'POST /token', 'POST /signin/email-password']);
  // An expired token in the header of a sign-in.
  await advance(server, '16m');
  const headers = { Authorization: `Bearer ${body.session.accessToken}` };
  await nhost.auth.signInEmailPassword({ email: 'frank@example.com', password }, { headers });
});

test('a refresh token that was revoked takes the session along', async () => {
  const { nhost, session } = await signedUp(server, 'grace@example.com');
  await open(server).nhost.auth.signOut({ refreshToken: session.refreshToken });
  await refused(nhost.auth.refreshToken({ refreshToken: session.refreshToken }), 401, 'invalid-refresh-token');
  assert.ok(nhost.getUserSession(), 'asked for by hand, it is the app that decides');
  await advance(server, '16m');
  assert.equal(await nhost.refreshSession(), null);
  assert.equal(nhost.getUserSession(), null);
});

test('a refresh token used again after the grace is theft: the session ends for both', async () => {
  const { nhost, session } = await signedUp(server, 'heidi@example.com');
  const second = await nhost.refreshSession(0);
  const again = (await open(server).nhost.auth.refreshToken({ refreshToken: session.refreshToken })).body;
  assert.equal(again.refreshToken, second.refreshToken, 'within the grace: the same successor');
  await advance(server, '11s');
  const thief = open(server).nhost.auth;
  await refused(thief.refreshToken({ refreshToken: session.refreshToken }), 401, 'invalid-refresh-token');
  await refused(thief.refreshToken({ refreshToken: second.refreshToken }), 401, 'invalid-refresh-token');
  await assert.rejects(nhost.auth.getUser(), (error) => error.status === 401);
});

test('sign-out ends this session at once, and no other', async () => {
  const { nhost, session } = await signedUp(server, 'ivan@example.com');
  const other = open(server).nhost;
  await other.auth.signInEmailPassword({ email: 'ivan@example.com', password });
  assert.equal((await nhost.auth.signOut({ refreshToken: session.refreshToken })).body, 'OK');
  assert.equal(nhost.getUserSession(), null);
  const headers = { Authorization: `Bearer ${session.accessToken}` };
  await assert.rejects(nhost.auth.getUser({ headers }), (error) => error.status === 401);
  await refused(nhost.auth.refreshToken({ refreshToken: session.refreshToken }), 401, 'invalid-refresh-token');
  assert.equal((await other.auth.getUser()).body.email, 'ivan@example.com');
  assert.equal((await nhost.auth.signOut({ refreshToken: session.refreshToken })).body, 'OK', 'unknown by now, and still');
  await refused(nhost.auth.signOut({}), 400, 'invalid-request');
});

test('sign-out everywhere; without a token it is not for anyone to ask', async () => {
  const { nhost } = await signedUp(server, 'judy@example.com');
  const other = open(server).nhost;
  const { body } = await other.auth.signInEmailPassword({ email: 'judy@example.com', password });
  await refused(open(server).nhost.auth.signOut({ all: true }), 400, 'invalid-request');
  assert.equal((await nhost.auth.signOut({ all: true })).body, 'OK');
  assert.equal(nhost.getUserSession(), null);
  await assert.rejects(other.auth.getUser(), (error) => error.status === 401);
  await refused(other.auth.refreshToken({ refreshToken: body.session.refreshToken }), 401, 'invalid-refresh-token');
});

test('errors: the whole body, the status, the message', async () => {
  await signedUp(server, 'kim@example.com');
  const { auth } = open(server).nhost;
  const signUp = (more, options) => auth.signUpEmailPassword({ email: 'lee@example.com', password, ...more, options });
  const wrong = { email: 'kim@example.com', password: 'not this' };
  await refused(auth.signInEmailPassword(wrong), 401, 'invalid-email-password');
  await refused(auth.signInEmailPassword({ ...wrong, email: 'nobody@example.com' }), 401, 'invalid-email-password');
  await refused(signUp({ email: 'Kim@example.com' }), 409, 'user-already-exists');
  await refused(signUp({ password: 'short' }), 400, 'password-too-short');
  await refused(signUp({}, { redirectTo: 'https://evil.example' }), 400, 'redirectTo-not-allowed');
  await refused(signUp({}, { redirectTo: `${APP}.evil.example` }), 400, 'redirectTo-not-allowed');
  await refused(signUp({}, { allowedRoles: ['admin'] }), 400, 'role-not-allowed');
  const roles = { allowedRoles: ['me'], defaultRole: 'editor' };
  await refused(signUp({}, roles), 400, 'default-role-must-be-in-allowed-roles');
  const { body } = await signUp({}, { locale: 'xx', redirectTo: `${APP}/deep/er?a=b` });
  assert.equal(body.session.user.locale, 'en', 'a language that is not offered');
  const { auth: member } = (await signedUp(server, 'mia@example.com')).nhost;
  const account = { signInMethod: 'email-password', email: 'new@example.com', password };
  await refused(member.deanonymizeUser(account), 400, 'user-not-anonymous');
});

test('errors of requests that make no sense', async () => {
  const { auth } = open(server).nhost;
  const fails = async (promise, status, body, message) => {
    await assert.rejects(promise, (error) => {
      assert.ok(error instanceof FetchError, String(error?.stack));
      assert.equal(error.status, status);
      for (const [name, value] of Object.entries(body)) assert.equal(error.body[name], value, JSON.stringify(error.body));
      assert.equal(error.message, message ?? error.body.message ?? error.body.error);
      assert.ok(error.message);
      return true;
    });
  };
  const right = { email: 'nat@example.com', password };
  await fails(auth.getUser(), 401, { error: 'unauthorized', securityScheme: 'BearerAuth' }, 'unauthorized');
  const headers = { Authorization: 'Bearer a.b.c' };
  await fails(auth.getUser({ headers }), 401, { error: 'unauthorized', securityScheme: 'BearerAuth' });
  const soon = { expiresAt: '2100-01-01T00:00:00Z' };
  await fails(auth.createPAT(soon), 401, { error: 'unauthorized', securityScheme: 'BearerAuthElevated' });
  await fails(auth.signUpEmailPassword({ ...right, email: 'no' }), 400, { errors: 'bad-request' });
  const schema = { error: 'schema-validation-error' };
  await fails(auth.signUpEmailPassword({ ...right, more: 1 }), 400, schema);
  await fails(auth.signUpEmailPassword({ ...right, password: 'ab' }), 400, schema);
  await fails(auth.signUpEmailPassword({ ...right, options: { displayName: 'a/b' } }), 400, schema);
  await fails(auth.signUpEmailPassword({ ...right, options: { metadata: 'text' } }), 400, schema);
  await fails(auth.signUpEmailPassword({ ...right, codeChallenge: 'short' }), 400, schema);
  await fails(auth.refreshToken({ refreshToken: 'no-uuid' }), 400, schema);
  await fails(auth.signInEmailPassword({ email: 'nat@example.com' }), 400, schema);
});

test('health and version', async () => {
  const { auth } = open(server).nhost;
  assert.equal((await auth.healthCheckGet()).body, 'OK');
  const head = await auth.healthCheckHead();
  assert.deepEqual([head.status, head.body], [200, undefined]);
  const { body } = await auth.getVersion();
  assert.deepEqual(Object.keys(body), ['version']);
  assert.equal(typeof body.version, 'string');
});

test('what is switched off says so', async () => {
  const off = await start({ KEYSTEAD_PROJECT__DEFAULT__SIGNUP__ENABLED: 'false' });
  try {
    const { auth } = open(off).nhost;
    const email = 'olga@example.com';
    await refused(auth.signUpEmailPassword({ email, password }), 403, 'signup-disabled');
    await disabled(
      auth.signInOTPEmail({ email }),
      auth.signInPasswordlessEmail({ email }),
      auth.signUpOTPEmail({ email }),
      auth.signUpPasswordlessEmail({ email }),
    );
  } finally {
    await off.stop();
  }
  await disabled(open(server).nhost.auth.signInAnonymous());
});

const disabled = (...asked) => Promise.all(asked.map((promise) => refused(promise, 409, 'disabled-endpoint')));

test('what this version does not have is switched off, not missing', async () => {
  const { auth } = (await signedUp(server, 'pat@example.com')).nhost;
  const [email, phoneNumber, otp, provider] = ['pat@example.com', '+15550100', '123456', 'google'];
  await disabled(
    auth.signUpWebauthn({ email }),
    auth.verifySignUpWebauthn({ credential: {} }),
    auth.signInWebauthn(),
    auth.verifySignInWebauthn({ credential: {} }),
    auth.addSecurityKey(),
    auth.verifyAddSecurityKey({ credential: {} }),
    auth.elevateWebauthn(),
    auth.verifyElevateWebauthn({ credential: {} }),
    auth.verifySignInMfaTotp({ ticket: `mfaTotp:${crypto.randomUUID()}`, otp }),
    auth.changeUserMfa(),
    auth.verifyChangeUserMfa({ code: otp }),
    auth.signInPasswordlessSms({ phoneNumber }),
    auth.verifySignInPasswordlessSms({ phoneNumber, otp }),
    auth.signUpPasswordlessSms({ phoneNumber }),
    auth.signInIdToken({ provider, idToken: 'a.b.c' }),
    auth.signUpIdToken({ provider, idToken: 'a.b.c' }),
    auth.linkIdToken({ provider, idToken: 'a.b.c' }),
    auth.refreshProviderToken(provider, { refreshToken: 'x' }),
  );
});
