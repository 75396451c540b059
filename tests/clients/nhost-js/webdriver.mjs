// A browser, told what to do over plain WebDriver (https://www.w3.org/TR/webdriver2/): Chromium and its chromedriver.
//
//   const browser = await Browser.open({ 'auth.example': 'https://127.0.0.1:8443' });
//   await browser.go('https://auth.example/');   // that server, and only with the certificate it shows now
//   await browser.close();
//
// It finds no other host than those it is given, so that nothing it loads comes from elsewhere.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { connect } from 'node:tls';

const ELEMENT = 'element-6066-11e4-a52e-4f735466cecf';

export class Browser {
  static async open(hosts, { script = true } = {}) {
    const folder = mkdtempSync(join(tmpdir(), 'keystead-browser-'));
    const driver = spawn('chromedriver', ['--port=0'], { stdio: ['ignore', 'pipe', 'inherit'] });
    const browser = new Browser(driver, folder);
    try {
      browser.base = `http://127.0.0.1:${await portOf(driver)}`;
      const rules = ['MAP * ~NOTFOUND'];
      const keys = [];
      for (const [name, url] of Object.entries(hosts)) {
        const { host, hostname, port } = new URL(url);
        rules.unshift(`MAP ${name} ${host}`);
        keys.push(await keyOf(hostname, port));
      }
      const args = [
        '--headless=new',
        // Containers seldom allow a sandbox of its own; it sees the pages of these tests, and no others.
        '--no-sandbox',
        '--disable-dev-shm-usage',
        '--disable-gpu',
        '--disable-background-networking',
        '--no-first-run',
        `--user-data-dir=${folder}`,
        `--host-resolver-rules=${rules.join(', ')}`,
        `--ignore-certificate-errors-spki-list=${keys.join(',')}`,
      ];
      const prefs = script ? {} : { 'profile.managed_default_content_settings.javascript': 2 };
      const capabilities = {
        alwaysMatch: { 'goog:chromeOptions': { args, prefs }, 'goog:loggingPrefs': { browser: 'ALL', performance: 'ALL' } },
      };
      const { sessionId } = await browser.ask('POST', '/session', { capabilities });
      browser.base += `/session/${sessionId}`;
      browser.session = true;
      return browser;
    } catch (error) {
      await browser.close();
      throw error;
    }
  }

  constructor(driver, folder) {
    Object.assign(this, { driver, folder });
  }

  go(url) {
    return this.ask('POST', '/url', { url });
  }

  at() {
    return this.ask('GET', '/url');
  }

  source() {
    return this.ask('GET', '/source');
  }

  async find(css) {
    const found = await this.ask('POST', '/elements', { using: 'css selector', value: css });
    assert.equal(found.length, 1, `${css}: ${await this.source()}`);
    const at = `/element/${found[0][ELEMENT]}`;
    return {
      text: () => this.ask('GET', `${at}/text`),
      name: () => this.ask('GET', `${at}/computedlabel`),
      click: () => this.ask('POST', `${at}/click`, {}),
    };
  }

  // A function in the page: what it returns, or what that promises.
  run(script, ...args) {
    return this.ask('POST', '/execute/sync', { script: `return (${script}).apply(null, arguments)`, args });
  }

  async newTab() {
    const { handle } = await this.ask('POST', '/window/new', { type: 'tab' });
    return handle;
  }

  tab() {
    return this.ask('GET', '/window');
  }

  switchTo(handle) {
    return this.ask('POST', '/window', { handle });
  }

  // What the page was told off for, since asked last: breaches of its policy, failed loads.
  complaints() {
    return this.ask('POST', '/se/log', { type: 'browser' });
  }

  // Every URL that was asked for, since asked last.
  async loaded() {
    const events = await this.ask('POST', '/se/log', { type: 'performance' });
    return events
      .map(({ message }) => JSON.parse(message).message)
      .filter(({ method, params }) => method === 'Network.requestWillBeSent' && !params.request.url.startsWith('chrome:'))
      .map(({ params }) => `${params.request.method} ${params.request.url}`);
  }

  async close() {
    try {
      if (this.session) await this.ask('DELETE', '');
    } finally {
      this.driver.kill();
      if (this.driver.exitCode === null && this.driver.signalCode === null) await once(this.driver, 'exit');
      rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }

  async ask(method, path, body) {
    const reply = await fetch(this.base + path, { method, body: body && JSON.stringify(body) });
    const { value } = await reply.json();
    if (!reply.ok) throw new Error(`${method} ${path}: ${value.error}: ${value.message}`);
    return value;
  }
}

async function portOf(driver) {
  for await (const line of createInterface(driver.stdout)) {
    const [, port] = /started successfully on port (\d+)/.exec(line) ?? [];
    if (port) return port;
  }
  throw new Error('chromedriver ended');
}

// SHA-256 of the public key in the certificate that is shown there.
async function keyOf(host, port) {
  const socket = connect({ host, port, rejectUnauthorized: false });
  await once(socket, 'secureConnect');
  const key = socket.getPeerX509Certificate().publicKey.export({ type: 'spki', format: 'der' });
  socket.destroy();
  return createHash('sha256').update(key).digest('base64');
}
