// Real deliveries of `nuncio send`, signed, to a receiver that verifies them with the npm package
// `standardwebhooks`, and with Node's own crypto where the signature is Ed25519, which the package does not know.
//
// Usage: node standard_webhooks.mjs PATH/TO/nuncio

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes, verify } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Webhook, WebhookVerificationError } from 'standardwebhooks';

/** No delivery takes longer, in milliseconds. */
const PATIENCE = 30_000;

const secret = () => `whsec_${randomBytes(32).toString('base64')}`;
const bytes = (base64url) => Buffer.from(base64url, 'base64url');

/** What the specification shows as an event, minified. */
const EVENT =
  '{"type":"contact.created","timestamp":"2022-11-03T20:26:10.344522Z","data":{"id":"1f81eb52-5198-4599-803e-771906343485"}}';

/** A receiver that keeps what comes, by path, and is out of order at first where the path says so. */
async function receiver() {
  const received = new Map();
  const server = createServer(async (request, response) => {
    const chunks = [];
    for await (const chunk of request) chunks.push(chunk);
    const all = received.get(request.url) ?? [];
    received.set(request.url, [...all, { headers: request.headers, body: Buffer.concat(chunks).toString() }]);
    response.writeHead(request.url === '/retried' && all.length === 0 ? 503 : 204).end();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return { origin: `http://127.0.0.1:${server.address().port}`, received, close: () => server.close() };
}

/** Sends a notification to all targets, and returns its id. */
async function send(nuncio, targets) {
  const folder = await mkdtemp(join(tmpdir(), 'nuncio-'));
  try {
    // JSON is YAML.
    const config = join(folder, 'nuncio.yml');
    const retry = { interval: '1s', jitter: 0 };
    await writeFile(config, JSON.stringify({ retry, targets }));
    const flags = ['send', '--config', config, '--json', '--title', 'Überschrift', 'a "body" & more'];
    const child = spawn(nuncio, flags, { stdio: ['ignore', 'pipe', 'inherit'], timeout: PATIENCE });
    const chunks = [];
    child.stdout.on('data', (chunk) => chunks.push(chunk));
    const [code] = await once(child, 'close');
    const output = Buffer.concat(chunks).toString();
    assert.equal(code, 0, output);
    return JSON.parse(output).id;
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Whether a signature `v1a` of the content as the specification has it is by the owner of a public key. */
function verifies(publicKey, { headers, body }) {
  const content = Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`);
  const signatures = headers['webhook-signature'].split(' ').map((signature) => signature.split(','));
  const ours = signatures.filter(([version]) => version === 'v1a');
  return ours.some(([, signature]) => verify(null, content, publicKey, Buffer.from(signature, 'base64')));
}

/** A private key as `whsk_…`, of the seed alone or with the public key, and its public key. */
function keyPair(isWhole) {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const { d, x } = privateKey.export({ format: 'jwk' });
  const key = Buffer.concat(isWhole ? [bytes(d), bytes(x)] : [bytes(d)]);
  return { key: `whsk_${key.toString('base64')}`, publicKey };
}

const [old, current, other] = [secret(), secret(), secret()];
const [seed, whole, stranger] = [keyPair(false), keyPair(true), keyPair(false)];
const { origin, received, close } = await receiver();
const payload = '{"title": $title, "message": $message}';
const hook = (name, sign, more) => ({ name, provider: 'webhook', url: `${origin}/${name}`, payload, sign, ...more });
const id = await send(process.argv[2], [
  hook('hmac', { secrets: current }),
  hook('rotated', { secrets: [current, old] }),
  hook('retried', { secrets: [current] }),
  hook('ed25519', { secrets: [current], private_keys: [seed.key, whole.key] }, { payload: EVENT }),
  hook('template', { private_keys: whole.key }, { payload: undefined, template: 'discord' }),
  hook('text', { secrets: current.replace(/=+$/, '') }, { payload: '$message', mime_type: 'text/plain' }),
]).finally(close);

const only = (name) => {
  const all = received.get(`/${name}`);
  assert.equal(all?.length, 1, name);
  return all[0];
};
const refused = (call) => assert.throws(call, WebhookVerificationError);

const tests = {
  'an HMAC is verified'() {
    const { headers, body } = only('hmac');
    const expected = { title: 'Überschrift', message: 'a "body" & more' };
    assert.deepEqual(new Webhook(current).verify(body, headers), expected);
    assert.equal(headers['webhook-id'], id);
    refused(() => new Webhook(other).verify(body, headers));
    refused(() => new Webhook(current).verify(`${body} `, headers));
    refused(() => new Webhook(current).verify(body, { ...headers, 'webhook-id': 'another' }));
  },
  'while secrets rotate, whoever has the old one only verifies too'() {
    const { headers, body } = only('rotated');
    for (const known of [old, current]) assert.ok(new Webhook(known).verify(body, headers));
    refused(() => new Webhook(other).verify(body, headers));
    refused(() => new Webhook(old).verify(only('hmac').body, only('hmac').headers));
  },
  'a retry has the same id and a timestamp and signature of its own'() {
    const all = received.get('/retried');
    assert.equal(all.length, 2);
    for (const { headers, body } of all) assert.ok(new Webhook(current).verify(body, headers));
    const [first, second] = all.map(({ headers }) => headers);
    assert.equal(first['webhook-id'], second['webhook-id']);
    assert.ok(Number(first['webhook-timestamp']) < Number(second['webhook-timestamp']));
    refused(() => new Webhook(current).verify(all[1].body, { ...second, 'webhook-timestamp': first['webhook-timestamp'] }));
  },
  'an Ed25519 signature is verified by the public key'() {
    const delivery = only('ed25519');
    assert.equal(delivery.body, EVENT);
    for (const { publicKey } of [seed, whole]) assert.ok(verifies(publicKey, delivery));
    assert.ok(!verifies(stranger.publicKey, delivery));
    assert.ok(!verifies(seed.publicKey, { ...delivery, body: `${EVENT} ` }));
    const versions = delivery.headers['webhook-signature'].split(' ').map((signature) => signature.split(',')[0]);
    assert.deepEqual(versions, ['v1', 'v1a', 'v1a']);
    assert.ok(new Webhook(current).verify(delivery.body, delivery.headers), 'beside others');
  },
  'a template is signed as it is sent'() {
    const delivery = only('template');
    assert.ok(JSON.parse(delivery.body).embeds && verifies(whole.publicKey, delivery));
  },
  'so is text, with a secret without padding'() {
    const { headers, body } = only('text');
    const json = JSON.stringify(body);
    refused(() => new Webhook(current).verify(json, headers));
    // The package reads what it verified as JSON, which this is not.
    assert.throws(() => new Webhook(current).verify(body, headers), SyntaxError);
  },
};

let failed = 0;
for (const [name, test] of Object.entries(tests)) {
  try {
    test();
  } catch (error) {
    failed += 1;
    console.log(`${name}\n${error.stack}\n`);
  }
}
const count = Object.keys(tests).length;
console.log(`standard webhooks, node: ${count - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
