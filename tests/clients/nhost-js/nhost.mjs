// A Keystead in memory and the real @nhost/nhost-js before it: one clock for both, a list of what was asked.
//
//   const server = await start({ KEYSTEAD_PROJECT__DEFAULT__NHOST__ANONYMOUS: 'true' });
//   const { nhost, asked } = open(server);
//   await nhost.auth.signInAnonymous();                 // asked is ['POST /signin/anonymous']
//   await advance(server, '14m');                       // the server's clock and Date.now()
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { webcrypto } from 'node:crypto';
import { createClient } from '@nhost/nhost-js';
import { FetchError } from '@nhost/nhost-js/fetch';
import { Keystead } from '../ephemeral/node/keystead.mjs';

globalThis.crypto ??= webcrypto;

// The app that mails lead back to. Nothing is ever asked there, but by the browser, which has a name server of its own.
export const APP = 'https://app.example';
export const password = 'correct horse';
export const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export async function start(settings = {}) {
  const server = await Keystead.start({ [`${NHOST}CLIENT_URL`]: APP, ...settings });
  await trust(server.caFile);
  return server;
}

export const NHOST = 'KEYSTEAD_PROJECT__DEFAULT__NHOST__';

// A client whose requests are noted as they leave it, refreshes included. `storage` as the package takes it.
export function open(server, options = {}) {
  const authUrl = `${server.url}/v1`;
  const asked = [];
  const note = ({ auth }) =>
    auth.pushChainFunction((next) => (url, init) => {
      asked.push(`${init.method} ${url.slice(authUrl.length)}`);
      return next(url, init);
    });
  return { nhost: createClient({ authUrl, ...options, configure: [note] }), asked };
}

let ahead = 0;
const real = Date.now;
Date.now = () => real() + ahead;

// The client goes by Date.now(), the server by its own clock: both move.
export async function advance(server, by) {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(by);
  ahead += count * { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit];
  await server.advance(by);
}

// A new account with a session.
export async function signedUp(server, email, options) {
  const opened = open(server, options);
  const { body } = await opened.nhost.auth.signUpEmailPassword({ email, password });
  opened.asked.length = 0;
  return { ...opened, session: body.session };
}

// The newest of `count` mails to an address.
export async function mail(server, to, count = 1) {
  const mails = await server.mailbox(to, count);
  assert.equal(mails.length, count, `mails to ${to}`);
  return mails.at(-1);
}

// Where a mail's link leads, as a browser without script would go.
export async function follow(link, init) {
  const reply = await fetch(link, { redirect: 'manual', ...init });
  assert.equal(reply.status, 302, await reply.text());
  assert.match(reply.headers.get('cache-control'), /no-store/);
  assert.equal(reply.headers.get('referrer-policy'), 'no-referrer');
  return new URL(reply.headers.get('location'));
}

// The package's own error, with the whole body the contract gives.
export function refused(promise, status, error, message) {
  return assert.rejects(promise, (thrown) => {
    assert.ok(thrown instanceof FetchError, String(thrown?.stack));
    assert.deepEqual(thrown.body, { status, error, message: message ?? MESSAGES[error] });
    assert.equal(thrown.status, status);
    assert.equal(thrown.message, thrown.body.message);
    assert.match(thrown.headers.get('content-type'), /^application\/json/);
    return true;
  });
}

export const MESSAGES = {
  'default-role-must-be-in-allowed-roles': 'Default role must be in allowed roles',
  'disabled-endpoint': 'This endpoint is disabled',
  'email-already-verified': "User's email is already verified",
  'forbidden-anonymous': 'Forbidden, user is anonymous.',
  'invalid-email-password': 'Incorrect email or password',
  'invalid-otp': 'Invalid or expired OTP',
  'invalid-pat': 'Invalid or expired personal access token',
  'invalid-refresh-token': 'Invalid or expired refresh token',
  'invalid-request': 'The request payload is incorrect',
  'invalid-ticket': 'Invalid ticket',
  'otp-too-many-attempts': 'Too many incorrect attempts, please request a new OTP',
  'password-too-short': 'Password is too short',
  'redirectTo-not-allowed': 'The value of "options.redirectTo" is not allowed.',
  'role-not-allowed': 'Role not allowed',
  'signup-disabled': 'Sign up is disabled.',
  'unverified-user': 'User is not verified.',
  'user-already-exists': 'User already exists',
  'user-not-anonymous': 'Logged in user is not anonymous',
};

// Node's own fetch trusts what its dispatcher trusts; NODE_EXTRA_CA_CERTS would have to be known before Node starts.
const DISPATCHER = Symbol.for('undici.globalDispatcher.1');
const trusted = [];
export async function trust(caFile) {
  await fetch('data:,'); // it makes its dispatcher when it is first used
  trusted.push(readFileSync(caFile));
  const { constructor: Agent } = globalThis[DISPATCHER];
  globalThis[DISPATCHER] = new Agent({ connect: { ca: trusted } });
}
