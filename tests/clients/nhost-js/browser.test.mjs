// What a real browser makes of the links in mails, and of the package in the page of an app on another site.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { startApp } from './app.mjs';
import { advance, APP, follow, mail, NHOST, open, password, start, UUID } from './nhost.mjs';
import { Browser } from './webdriver.mjs';

const AUTH = 'https://auth.example';
const settings = {
  KEYSTEAD_LISTEN__PUBLIC_URL: AUTH,
  [`${NHOST}PASSWORDLESS_EMAIL`]: 'true',
};
let app;
let server; // its links ask for confirmation
let direct; // its links do what they say
before(async () => {
  app = await startApp();
  server = await start({ ...settings, [`${NHOST}VERIFY__CONFIRM`]: 'true' });
  direct = await start(settings);
});
after(() => Promise.all([app.stop(), server.stop(), direct.stop()]));

const browse = (on, options) =>
  Browser.open({ 'app.example': app.url, 'www.app.example': app.url, 'auth.example': on.url }, options);
// A browser finds the public URL by the name server it is given; Node has none.
const from = (on, link) => link.replace(AUTH, on.url);
const noFavicon = (what) => !what.includes('/favicon.ico') && !what.includes(' data:');

async function magicLink(on, email, redirectTo = `${APP}/welcome?lang=de`) {
  const { nhost } = open(on);
  await nhost.auth.signInPasswordlessEmail({ email, options: { redirectTo } });
  const { link } = await mail(on, email);
  assert.ok(link.startsWith(`${AUTH}/v1/verify?`), link);
  return { link, nhost };
}

// What is in the address bar of the app, once it is there.
async function landing(browser, origin = APP) {
  const patience = Date.now() + 10_000;
  for (;;) {
    const url = new URL(await browser.at());
    if (url.origin === origin) return url;
    assert.ok(Date.now() < patience, `${url}: ${await browser.source()}`);
  }
}

test('with confirmation, whoever only looks uses nothing up', async () => {
  const { link } = await magicLink(server, 'ada@example.com');
  const prefetch = { headers: { 'sec-purpose': 'prefetch' } };
  for (const init of [{ method: 'HEAD' }, {}, prefetch, {}]) {
    const reply = await fetch(from(server, link), { redirect: 'manual', ...init });
    assert.equal(reply.headers.get('location'), null);
    const text = await reply.text();
    if (init === prefetch) continue;
    assert.equal(reply.status, 200);
    assert.equal(text.length > 0, init.method !== 'HEAD');
    assert.doesNotMatch(text, /<script|src=|@import|url\(|https?:\/\/(?!app\.example)/);
    const get = (name) => reply.headers.get(name);
    const policy = get('content-security-policy').split(/;\s*/);
    for (const part of ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"]) assert.ok(policy.includes(part), part);
    assert.ok(!policy.some((part) => /unsafe|\*/.test(part)), policy.join(';'));
    assert.ok(policy.includes("form-action 'self'"));
    assert.match(get('cache-control'), /no-store/);
    assert.deepEqual(
      [get('referrer-policy'), get('x-content-type-options'), get('content-type')],
      ['no-referrer', 'nosniff', 'text/html; charset=utf-8'],
    );
  }

  for (const script of [false, true]) {
    const browser = await browse(server, { script });
    try {
      await presses(browser, script ? (await magicLink(server, 'bob@example.com')).link : link, script ? 'bob' : 'ada');
    } finally {
      await browser.close();
    }
  }
});

// The button does it: the browser arrives at the app's page with a token that is good, and with nothing else.
async function presses(browser, link, name) {
  await browser.go(link);
  const button = await browser.find('button');
  assert.ok(await button.text());
  assert.deepEqual((await browser.loaded()).filter(noFavicon), [`GET ${link}`]);
  assert.deepEqual(await browser.complaints(), []);
  app.visits.length = 0;
  await button.click();
  const url = await landing(browser);
  const { refreshToken, ...rest } = Object.fromEntries(url.searchParams);
  assert.match(refreshToken, UUID);
  assert.deepEqual(rest, { lang: 'de', type: 'passwordlessEmail' });
  assert.deepEqual(app.visits, [{ method: 'GET', url: url.pathname + url.search, referer: undefined }]);
  const asked = (await browser.loaded()).filter(noFavicon);
  assert.deepEqual([asked.at(0).split(/[ ?]/).slice(0, 2), asked.slice(1)], [['POST', `${AUTH}/v1/verify`], [`GET ${url}`]]);
  const { body } = await open(server).nhost.auth.refreshToken({ refreshToken });
  assert.equal(body.user.email, `${name}@example.com`);

  // Pressed again, by someone who goes back.
  await browser.go(link);
  await (await browser.find('button')).click();
  const again = await landing(browser);
  assert.deepEqual([again.searchParams.get('error'), again.searchParams.get('refreshToken')], ['invalid-ticket', null]);
}

test('with confirmation, an app that sends its visitors on to another host is no dead end', async () => {
  const { link } = await magicLink(server, 'dan@example.com', `${APP}/moved`);
  const browser = await browse(server);
  try {
    await browser.go(link);
    await (await browser.find('button')).click();
    const url = await landing(browser, 'https://www.app.example');
    assert.match(url.searchParams.get('refreshToken'), UUID);
  } finally {
    await browser.close();
  }
});

test('with confirmation, PKCE: the button leads on with a code', async () => {
  const { nhost } = open(server);
  const { generatePKCEPair } = await import('@nhost/nhost-js/auth');
  const { verifier: codeVerifier, challenge: codeChallenge } = await generatePKCEPair();
  await nhost.auth.signInPasswordlessEmail({ email: 'carol@example.com', codeChallenge });
  const browser = await browse(server);
  try {
    await browser.go((await mail(server, 'carol@example.com')).link);
    await (await browser.find('button')).click();
    const { searchParams } = await landing(browser);
    assert.equal(searchParams.get('refreshToken'), null);
    const { body } = await nhost.auth.tokenExchange({ code: searchParams.get('code'), codeVerifier });
    assert.equal(body.session.user.email, 'carol@example.com');
  } finally {
    await browser.close();
  }
});

test('the package in the page of an app on another site', async (t) => {
  const browser = await browse(direct);
  try {
    // Whatever the page does, it does with this client, which counts.
    const load = async () => {
      globalThis.refreshes = 0;
      const { createClient } = await import('/modules/nhost-js.js');
      const count = ({ auth }) =>
        auth.pushChainFunction((next) => (url, init) => {
          globalThis.refreshes += url.endsWith('/v1/token');
          return next(url, init);
        });
      globalThis.nhost = createClient({ authUrl: 'https://auth.example/v1', configure: [count] });
    };
    const visit = async (url = `${APP}/`) => {
      await browser.go(url);
      await browser.run(load);
    };
    await visit();

    await t.test('sign-up, with and without credentials', async () => {
      const signUp = (email, password) => nhost.auth.signUpEmailPassword({ email, password }).then(({ body }) => body);
      const { session } = await browser.run(signUp, 'dora@example.com', password);
      assert.equal(session.user.email, 'dora@example.com');
      const who = (options) => nhost.auth.getUser(options).then(({ body }) => body.email);
      assert.equal(await browser.run(who, {}), 'dora@example.com');
      assert.equal(await browser.run(who, { credentials: 'include' }), 'dora@example.com');
      const head = (options) => nhost.auth.healthCheckHead(options).then(({ status }) => status);
      assert.equal(await browser.run(head, { credentials: 'include' }), 200);
    });

    await t.test('errors arrive with their body', async () => {
      const wrong = (email) =>
        nhost.auth
          .signInEmailPassword({ email, password: 'not this' }, { credentials: 'include' })
          .catch((error) => [error.status, error.body.error, error.message]);
      const refused = [401, 'invalid-email-password', 'Incorrect email or password'];
      assert.deepEqual(await browser.run(wrong, 'dora@example.com'), refused);
      const nothing = () => fetch('https://auth.example/v1/nothing', { credentials: 'include' }).then(({ status }) => status);
      assert.equal(await browser.run(nothing), 404, 'what is not there may be read as well');
    });

    await t.test('two tabs, many calls at once: one refresh', async () => {
      // The last half minute of the access token, as both tabs will see it.
      const age = () => {
        const session = JSON.parse(localStorage.nhostSession);
        session.decodedToken.exp = Date.now() + 30_000;
        localStorage.nhostSession = JSON.stringify(session);
        return [session.refreshToken, session.refreshTokenId];
      };
      const arm = () => {
        const email = () => nhost.auth.getUser().then(({ body }) => body.email);
        const all = () => Promise.all(Array.from({ length: 16 }, email));
        globalThis.start = new BroadcastChannel('start');
        globalThis.done = new Promise((resolve, reject) => {
          globalThis.start.onmessage = () => all().then(resolve, reject);
        });
        globalThis.first = () => (globalThis.start.postMessage(''), all());
      };
      const first = await browser.tab();
      const second = await browser.newTab();
      await browser.switchTo(second);
      await visit();
      await browser.run(arm);
      await browser.switchTo(first);
      await browser.run(arm);
      const [before, id] = await browser.run(age);
      const mine = await browser.run('() => globalThis.first()');
      const refreshes = await browser.run('() => globalThis.refreshes');
      await browser.switchTo(second);
      const theirs = await browser.run('() => globalThis.done');
      assert.deepEqual(new Set([...mine, ...theirs]), new Set(['dora@example.com']));
      assert.equal(mine.length + theirs.length, 32);
      assert.equal(refreshes + (await browser.run('() => globalThis.refreshes')), 1);
      const [after, same] = await browser.run('() => ((s) => [s.refreshToken, s.refreshTokenId])(nhost.getUserSession())');
      assert.notEqual(after, before);
      assert.equal(same, id);
    });

    await t.test('sign-out empties the storage, for both tabs', async () => {
      const signOut = () => nhost.auth.signOut({ refreshToken: nhost.getUserSession().refreshToken }).then(({ body }) => body);
      assert.equal(await browser.run(signOut), 'OK');
      assert.equal(await browser.run('() => localStorage.nhostSession ?? null'), null);
    });

    await t.test('a magic link comes back to the app, which signs in with what it brings', async () => {
      const { link } = await magicLink(direct, 'erin@example.com');
      await visit(link);
      const signIn = async () => {
        const refreshToken = new URL(location.href).searchParams.get('refreshToken');
        history.replaceState(null, '', '/');
        return (await nhost.auth.refreshToken({ refreshToken })).body.user;
      };
      assert.equal((await landing(browser)).searchParams.get('lang'), 'de');
      assert.equal((await browser.run(signIn)).email, 'erin@example.com');
    });

    await t.test('a browser that fetches ahead uses no link up, though it asks for no confirmation', async () => {
      await advance(direct, '61s');
      const { link } = await magicLink(direct, 'frank@example.com');
      await visit();
      await browser.loaded();
      const ahead = (href) =>
        new Promise((resolve) => {
          const hint = Object.assign(document.createElement('link'), { rel: 'prefetch', href });
          hint.onload = hint.onerror = () => resolve(true);
          document.head.append(hint);
        });
      await browser.run(ahead, link);
      assert.deepEqual((await browser.loaded()).filter((what) => what.includes('/v1/verify')), [`GET ${link}`]);
      assert.match((await follow(from(direct, link))).searchParams.get('refreshToken'), UUID);
    });

    await t.test('nothing it did was against a policy', async () => {
      const offences = (await browser.complaints()).filter(({ message }) => /policy/i.test(message));
      assert.deepEqual(offences, []);
    });
  } finally {
    await browser.close();
  }
});
