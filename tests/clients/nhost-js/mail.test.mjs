// What arrives by mail: links, codes, PKCE; and what they prove.
import assert from 'node:assert/strict';
import { after, before, mock, test } from 'node:test';
import { generatePKCEPair } from '@nhost/nhost-js/auth';
import { advance, APP, follow, mail, NHOST, open, password, refused, signedUp, start, UUID } from './nhost.mjs';

const MAILED = { [`${NHOST}PASSWORDLESS_EMAIL`]: 'true', [`${NHOST}OTP_EMAIL`]: 'true' };
let server; // addresses need no proof
let strict; // they do
before(async () => {
  server = await start(MAILED);
  strict = await start({ ...MAILED, KEYSTEAD_PROJECT__DEFAULT__VERIFICATION__MODE: 'strict' });
  mock.method(console, 'warn', () => {});
  mock.method(console, 'error', () => {});
});
after(() => Promise.all([server.stop(), strict.stop()]));

// What a link that worked leads to: exactly this, besides what the app had there.
function arrived(url, type, extra = {}) {
  assert.equal(url.origin, APP);
  const { refreshToken, ...rest } = Object.fromEntries(url.searchParams);
  assert.match(refreshToken, UUID);
  assert.deepEqual(rest, { ...extra, type });
  return refreshToken;
}

function failed(url, error) {
  assert.equal(url.origin, APP);
  const { error: said, errorDescription, refreshToken, code } = Object.fromEntries(url.searchParams);
  assert.deepEqual([said, refreshToken, code], [error, undefined, undefined]);
  assert.ok(errorDescription);
}

test('a magic link makes the account and proves the address, once', async () => {
  const { nhost } = open(server);
  const email = 'ada@example.com';
  const options = { redirectTo: `${APP}/welcome?lang=de`, displayName: 'Ada', metadata: { plan: 'free' } };
  assert.equal((await nhost.auth.signInPasswordlessEmail({ email, options })).body, 'OK');
  assert.equal(nhost.getUserSession(), null);
  const sent = await mail(server, email);
  assert.equal(sent.template, 'signin-passwordless');
  const link = new URL(sent.link);
  assert.equal(link.origin + link.pathname, `${server.url}/v1/verify`);
  assert.deepEqual([...link.searchParams.keys()], ['redirectTo', 'ticket', 'type']);
  assert.match(link.searchParams.get('ticket'), /^passwordlessEmail:[0-9a-f-]{36}$/);
  assert.equal(link.searchParams.get('type'), 'signinPasswordless');
  const headers = Object.fromEntries(Object.entries(sent.headers).map(([name, value]) => [name.toLowerCase(), value]));
  assert.equal(headers['x-ticket'], link.searchParams.get('ticket'));
  assert.equal(headers['x-redirect-to'], options.redirectTo);
  assert.equal(headers['x-email-template'], 'signin-passwordless');
  assert.equal(headers['x-link'], sent.link);

  // A mail scanner, and a browser that fetches ahead.
  for (const init of [{ method: 'HEAD' }, { headers: { 'sec-purpose': 'prefetch' } }, { headers: { purpose: 'prefetch' } }]) {
    const reply = await fetch(sent.link, { redirect: 'manual', ...init });
    assert.doesNotMatch(reply.headers.get('location') ?? '', /refreshToken|code=/);
  }

  const refreshToken = arrived(await follow(sent.link), 'passwordlessEmail', { lang: 'de' });
  const { body } = await nhost.auth.refreshToken({ refreshToken });
  assert.deepEqual(nhost.getUserSession().user, body.user);
  const { email: of, emailVerified, displayName, metadata } = body.user;
  assert.deepEqual([of, emailVerified, displayName, metadata], [email, true, 'Ada', { plan: 'free' }]);
  failed(await follow(sent.link), 'invalid-ticket');

  // The same account at the next sign-in, whatever the options say then.
  await advance(server, '61s');
  await nhost.auth.signInPasswordlessEmail({ email, options: { displayName: 'Eve' } });
  const second = (await mail(server, email, 2)).link;
  const again = await nhost.auth.refreshToken({ refreshToken: arrived(await follow(second), 'passwordlessEmail') });
  assert.deepEqual([again.body.user.id, again.body.user.displayName], [body.user.id, 'Ada']);
});

test('a link that is too old, and one that a newer one replaced', async () => {
  const { nhost } = open(server);
  const email = 'bob@example.com';
  await nhost.auth.signInPasswordlessEmail({ email });
  const { link: first } = await mail(server, email);
  await advance(server, '30m');
  await nhost.auth.signInPasswordlessEmail({ email });
  const { link: second } = await mail(server, email, 2);
  failed(await follow(first), 'invalid-ticket');
  await advance(server, '61m');
  failed(await follow(second), 'invalid-ticket');
});

test('explicit sign-up by link and by code: not for an account that is there', async () => {
  const { auth } = open(server).nhost;
  const email = 'carol@example.com';
  assert.equal((await auth.signUpPasswordlessEmail({ email })).body, 'OK');
  arrived(await follow((await mail(server, email)).link), 'passwordlessEmail');
  await refused(auth.signUpPasswordlessEmail({ email }), 409, 'user-already-exists');
  await refused(auth.signUpOTPEmail({ email }), 409, 'user-already-exists');
  assert.equal((await auth.signUpOTPEmail({ email: 'carl@example.com' })).body, 'OK');
  const { code } = await mail(server, 'carl@example.com');
  assert.ok((await auth.verifySignInOTPEmail({ email: 'carl@example.com', otp: code })).body.session);
});

test('a code of six digits', async () => {
  const { nhost } = open(server);
  const email = 'dora@example.com';
  assert.equal((await nhost.auth.signInOTPEmail({ email, options: { metadata: { a: 1 } } })).body, 'OK');
  const sent = await mail(server, email);
  assert.deepEqual([sent.template, sent.link], ['signin-otp', null]);
  const { code: otp } = sent;
  assert.match(otp, /^[0-9]{6}$/);
  const wrong = otp === '123456' ? '654321' : '123456';
  await refused(nhost.auth.verifySignInOTPEmail({ email, otp: wrong }), 400, 'invalid-otp');
  await refused(nhost.auth.verifySignInOTPEmail({ email: 'nobody@example.com', otp }), 400, 'invalid-otp');
  const { body } = await nhost.auth.verifySignInOTPEmail({ email: 'Dora@example.com', otp });
  assert.deepEqual([body.session.user.emailVerified, body.session.user.metadata], [true, { a: 1 }]);
  assert.equal(nhost.getUserSession().refreshToken, body.session.refreshToken);
  await refused(open(server).nhost.auth.verifySignInOTPEmail({ email, otp }), 400, 'invalid-otp');

  await advance(server, '61s');
  await nhost.auth.signInOTPEmail({ email });
  const { code: late } = await mail(server, email, 2);
  await advance(server, '61m');
  await refused(nhost.auth.verifySignInOTPEmail({ email, otp: late }), 400, 'invalid-otp');
});

test('a code guessed at too often is worth nothing, nor is the next one sooner', async () => {
  const { auth } = open(server).nhost;
  const email = 'dave@example.com';
  await auth.signInOTPEmail({ email });
  const { code: otp } = await mail(server, email);
  const wrong = otp === '123456' ? '654321' : '123456';
  let last;
  for (let guess = 0; guess < 20 && last !== 'otp-too-many-attempts'; guess++) {
    last = await auth.verifySignInOTPEmail({ email, otp: wrong }).catch((error) => error.body.error);
  }
  await refused(auth.verifySignInOTPEmail({ email, otp }), 400, 'otp-too-many-attempts');
});

test('an address that must be proved first', async () => {
  const { nhost } = open(strict);
  const account = { email: 'erin@example.com', password };
  const { body } = await nhost.auth.signUpEmailPassword({ ...account, options: { redirectTo: `${APP}/welcome` } });
  assert.deepEqual(body, {});
  assert.equal(nhost.getUserSession(), null);
  await refused(nhost.auth.signInEmailPassword(account), 401, 'unverified-user');
  await refused(nhost.auth.signInEmailPassword({ ...account, password: 'not this' }), 401, 'invalid-email-password');
  const sent = await mail(strict, account.email);
  assert.deepEqual([sent.template, new URL(sent.link).searchParams.get('type')], ['email-verify', 'emailVerify']);

  await advance(strict, '61s');
  assert.equal((await nhost.auth.sendVerificationEmail({ email: account.email })).body, 'OK');
  const { link } = await mail(strict, account.email, 2);
  const refreshToken = arrived(await follow(link), 'verifyEmail');
  const proved = await nhost.auth.refreshToken({ refreshToken });
  assert.equal(proved.body.user.emailVerified, true);
  assert.ok((await nhost.auth.signInEmailPassword(account)).body.session);
  await refused(nhost.auth.sendVerificationEmail({ email: account.email }), 400, 'email-already-verified');
});

test('PKCE: the link carries a code, which is worth nothing without what only this client knows', async () => {
  for (const [on, begin, template] of [
    [server, (auth, more) => auth.signInPasswordlessEmail(more), 'signin-passwordless'],
    [strict, (auth, more) => auth.signUpEmailPassword({ password, ...more }), 'email-verify'],
  ]) {
    const email = `frank-${template}@example.com`;
    const { nhost } = open(on);
    const { verifier, challenge } = await generatePKCEPair();
    await begin(nhost.auth, { email, codeChallenge: challenge, options: { redirectTo: `${APP}/cb?x=1` } });
    const { link, template: of } = await mail(on, email);
    assert.equal(of, template);
    assert.equal(new URL(link).searchParams.get('codeChallenge'), challenge);
    const landed = await follow(link);
    const { code, ...rest } = Object.fromEntries(landed.searchParams);
    assert.ok(code);
    assert.deepEqual([landed.pathname, rest], ['/cb', { x: '1' }]);
    const { verifier: other } = await generatePKCEPair();
    const thief = open(on).nhost.auth;
    await refused(thief.tokenExchange({ code: `${code}x`, codeVerifier: verifier }), 400, 'invalid-request');
    const { body } = await nhost.auth.tokenExchange({ code, codeVerifier: verifier });
    assert.deepEqual(Object.keys(body), ['session']);
    assert.equal(body.session.user.emailVerified, true);
    assert.equal((await nhost.auth.getUser()).body.email, email, 'and it is this client that is signed in');
    await refused(thief.tokenExchange({ code, codeVerifier: verifier }), 400, 'invalid-request');
    await refused(thief.tokenExchange({ code, codeVerifier: other }), 400, 'invalid-request');
  }
});

test('PKCE: a code with the wrong secret, and one too old', async () => {
  const { auth } = open(server).nhost;
  const codeFor = async (email) => {
    const { verifier, challenge } = await generatePKCEPair();
    await auth.signInPasswordlessEmail({ email, codeChallenge: challenge });
    return { code: (await follow((await mail(server, email)).link)).searchParams.get('code'), codeVerifier: verifier };
  };
  const right = await codeFor('gina@example.com');
  const { verifier: codeVerifier } = await generatePKCEPair();
  await refused(auth.tokenExchange({ ...right, codeVerifier }), 400, 'invalid-request');
  const late = await codeFor('gus@example.com');
  await advance(server, '5m');
  await refused(auth.tokenExchange(late), 400, 'invalid-request');
});

test('another address: it is the new one that has to answer', async () => {
  const { nhost, session } = await signedUp(server, 'heidi@example.com');
  await signedUp(server, 'taken@example.com');
  const change = (newEmail, redirectTo = `${APP}/settings`) => nhost.auth.changeUserEmail({ newEmail, options: { redirectTo } });
  await refused(change('taken@example.com'), 409, 'user-already-exists');
  await refused(change('h@example.com', 'https://evil.example'), 400, 'redirectTo-not-allowed');
  assert.equal((await change('h@example.com')).body, 'OK');
  const { body: before } = await nhost.auth.getUser();
  assert.deepEqual([before.email, before.emailVerified], ['heidi@example.com', false], 'nothing is proved yet');
  const { link, template } = await mail(server, 'h@example.com');
  assert.equal(template, 'email-confirm-change');
  const landed = await follow(link);
  assert.equal(landed.pathname, '/settings');
  const refreshToken = arrived(landed, 'emailConfirmChange');
  const { body } = await open(server).nhost.auth.refreshToken({ refreshToken });
  assert.deepEqual([body.user.id, body.user.email, body.user.emailVerified], [session.user.id, 'h@example.com', true]);
  const { auth } = open(server).nhost;
  assert.ok((await auth.signInEmailPassword({ email: 'h@example.com', password })).body.session);
  await refused(auth.signInEmailPassword({ email: 'heidi@example.com', password }), 401, 'invalid-email-password');
});

test('another password, from within a session: this one stays, the others end', async () => {
  const { nhost } = await signedUp(server, 'ivan@example.com');
  const other = open(server).nhost;
  await other.auth.signInEmailPassword({ email: 'ivan@example.com', password });
  await refused(nhost.auth.changeUserPassword({ newPassword: 'short' }), 400, 'password-too-short');
  assert.equal((await nhost.auth.changeUserPassword({ newPassword: 'battery staple' })).body, 'OK');
  assert.equal((await nhost.auth.getUser()).body.email, 'ivan@example.com');
  assert.ok(await nhost.refreshSession(0));
  await assert.rejects(other.auth.getUser(), (error) => error.status === 401);
  const { auth } = open(server).nhost;
  await refused(auth.signInEmailPassword({ email: 'ivan@example.com', password }), 401, 'invalid-email-password');
  assert.ok((await auth.signInEmailPassword({ email: 'ivan@example.com', password: 'battery staple' })).body.session);
});

test('a forgotten password: by the link, or by its ticket', async () => {
  const email = 'judy@example.com';
  const { nhost: old } = await signedUp(server, email);
  const { nhost } = open(server);
  assert.equal((await nhost.auth.sendPasswordResetEmail({ email: 'nobody@example.com' })).body, 'OK');
  assert.equal((await nhost.auth.sendPasswordResetEmail({ email, options: { redirectTo: `${APP}/reset` } })).body, 'OK');
  await refused(nhost.auth.changeUserPassword({ newPassword: 'battery staple' }), 400, 'invalid-request');

  // The link signs in; the app asks for the new password then.
  const { link, template } = await mail(server, email);
  assert.equal(template, 'password-reset');
  const landed = await follow(link);
  assert.equal(landed.pathname, '/reset');
  await nhost.auth.refreshToken({ refreshToken: arrived(landed, 'passwordReset') });
  assert.equal((await nhost.auth.changeUserPassword({ newPassword: 'battery staple' })).body, 'OK');
  assert.ok((await open(server).nhost.auth.signInEmailPassword({ email, password: 'battery staple' })).body.session);
  await assert.rejects(old.auth.getUser(), (error) => error.status === 401);

  assert.equal((await mail(server, email, 2)).template, 'password-changed');

  // The ticket alone is enough, once, and ends every session.
  await advance(server, '61s');
  await nhost.auth.sendPasswordResetEmail({ email });
  const ticket = new URL((await mail(server, email, 3)).link).searchParams.get('ticket');
  const { auth } = open(server).nhost;
  assert.equal((await auth.changeUserPassword({ newPassword: 'third time lucky', ticket })).body, 'OK');
  await refused(auth.changeUserPassword({ newPassword: 'fourth of them', ticket }), 401, 'invalid-ticket');
  await assert.rejects(nhost.auth.getUser(), (error) => error.status === 401);
  assert.ok((await auth.signInEmailPassword({ email, password: 'third time lucky' })).body.session);
  assert.deepEqual(await server.mailbox('nobody@example.com', 0), []);
});
