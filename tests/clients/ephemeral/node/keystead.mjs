// Keystead in your tests: start a server in memory, move its clock, read its mails. Node 18 or later, nothing else.
//
//   const server = await Keystead.start({ KEYSTEAD_PROJECT__DEFAULT__VERIFICATION__DELIVERY: 'mail' });
//   const reply = await server.post('/api/auth/signup', { email, password });   // { status, body }
//   const [mail] = await server.mailbox(email);                                 // waits until it is there
//   await server.advance('15m');                                                // access tokens have expired now
//   await server.stop();
//
// Copy this file into your project. Every setting is an environment variable; the program is found by KEYSTEAD, else on
// the PATH. The server ends with your process, however that ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createInterface } from 'node:readline';

export class Keystead {
  static async start(settings = {}) {
    // The least that hashing may cost: a test suite has no attackers.
    const cheap = { KEYSTEAD_HASHING__MEMORY_KIB: '8', KEYSTEAD_HASHING__ITERATIONS: '1' };
    const child = spawn(process.env.KEYSTEAD ?? 'keystead', ['serve', '--ephemeral'], {
      env: { ...process.env, ...cheap, ...settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let log = '';
    child.stderr.on('data', (text) => (log += text));
    const ended = once(child, 'close').then(([code]) => {
      throw new Error(`keystead ended (${code}): ${log}`);
    });
    const [line] = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
    ended.catch(() => {});
    return new Keystead(child, JSON.parse(line));
  }

  constructor(child, ready) {
    this.child = child;
    this.url = ready.urls[0];
    this.project = ready.projects[0].id;
    this.control = ready.control;
    // Trusts this server and no other. For a client of your own: NODE_EXTRA_CA_CERTS=ready.ca, or its `ca` option.
    this.caFile = ready.ca;
    this.agent = new https.Agent({ ca: readFileSync(ready.ca), keepAlive: true });
  }

  get(path, headers) {
    return call(https, `${this.url}${path}`, { agent: this.agent, headers });
  }

  post(path, body, headers) {
    return call(https, `${this.url}${path}`, { agent: this.agent, method: 'POST', headers }, body);
  }

  // Moves the server's clock, by '90s', '15m', '24h' …; the new time.
  async advance(by) {
    return (await this.#ask('POST', '/testing/clock', { advance: by })).now;
  }

  // The mails to this address, newest last; waits until there are as many as wanted.
  mailbox(to, count = 1) {
    return this.#ask('GET', `/testing/mailbox?to=${encodeURIComponent(to)}&count=${count}&wait=10s`);
  }

  async stop() {
    this.agent.destroy();
    this.child.kill('SIGTERM');
    if (this.child.exitCode === null) await once(this.child, 'close');
  }

  async #ask(method, path, body) {
    const reply = await call(http, `http://localhost${path}`, { socketPath: this.control, method }, body);
    if (reply.status !== 200) throw new Error(`${method} ${path}: ${JSON.stringify(reply.body)}`);
    return reply.body;
  }
}

function call(protocol, url, options, body) {
  return new Promise((resolve, reject) => {
    const headers = { ...options.headers, ...(body && { 'content-type': 'application/json' }) };
    const request = protocol.request(url, { ...options, headers }, (reply) => {
      let text = '';
      reply.setEncoding('utf8').on('data', (part) => (text += part));
      reply.on('error', reject).on('end', () => resolve({ status: reply.statusCode, body: text && JSON.parse(text) }));
    });
    request.on('error', reject).end(body && JSON.stringify(body));
  });
}
