// Many calls at once with an old session, where the package has no Web Locks to put them in line: every one of them
// refreshes with the same token. In a browser there are locks, and one of them does: browser.test.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

// Before the package looks for them.
Object.defineProperty(globalThis, 'navigator', { value: undefined });
const { advance, open, signedUp, start } = await import('./nhost.mjs');

let server;
before(async () => (server = await start()));
after(() => server.stop());

test('thirty-two refreshes with one token: one successor, and nobody is signed out', async () => {
  const answers = [];
  const { nhost, asked, session } = await signedUp(server, 'ada@example.com');
  nhost.auth.pushChainFunction((next) => async (url, init) => {
    const reply = await next(url, init);
    if (url.endsWith('/token')) answers.push((await reply.clone().json()).refreshToken);
    return reply;
  });
  await advance(server, '15m');
  const users = await Promise.all(Array.from({ length: 32 }, () => nhost.auth.getUser()));
  assert.deepEqual(new Set(users.map(({ body }) => body.id)), new Set([session.user.id]));
  assert.equal(asked.filter((what) => what === 'POST /token').length, 32);
  assert.equal(answers.length, 32);
  assert.deepEqual([...new Set(answers)], [nhost.getUserSession().refreshToken]);
  assert.notEqual(answers[0], session.refreshToken);

  await advance(server, '15m');
  assert.equal((await nhost.auth.getUser()).body.id, session.user.id);
  const { body } = await open(server).nhost.auth.refreshToken({ refreshToken: nhost.getUserSession().refreshToken });
  assert.equal(body.refreshTokenId, session.refreshTokenId);
});
