// Nuncio's component in Node: jco makes a JavaScript module of it, and this asks it what
// tests/golden/cases.json asks, and compares the answers with expected.json, byte by byte.
//
// Usage: node golden.mjs PATH/TO/nuncio.wasm
//
// tests/golden.rs says what the two files are.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { transpileBytes } from '@bytecodealliance/jco-transpile';

/** The exports of an instance that was given nothing. */
async function load(path) {
  const options = { name: 'nuncio', instantiation: 'sync', noComponentErrorWrapping: false };
  const { files, imports } = await transpileBytes(await readFile(path), options);
  assert.deepEqual(imports, [], 'a brain imports nothing');
  const module = Buffer.from(files['nuncio.js']).toString('base64');
  const { instantiate } = await import(`data:text/javascript;base64,${module}`);
  return instantiate((name) => new WebAssembly.Module(files[name]), {});
}

/** A text as it stands, anything else as JSON. */
const text = (value) => (typeof value === 'string' ? value : JSON.stringify(value));

/** What a call returns, as `result` is in WIT: jco throws the error. */
function result(call) {
  try {
    return { ok: call() };
  } catch (error) {
    if (!('payload' in error)) throw error;
    return { err: error.payload };
  }
}

const kebab = (name) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

/** A value from jco in the form of expected.json. */
function plain(value) {
  if (value === undefined) return null;
  if (typeof value === 'bigint') return value.toString();
  // A list of numbers comes as an array of them.
  if (Array.isArray(value) || ArrayBuffer.isView(value)) return Array.from(value, plain);
  if (typeof value !== 'object' || value === null) return value;
  if ('tag' in value) return value.val === undefined ? value.tag : { [value.tag]: plain(value.val) };
  return Object.fromEntries(Object.entries(value).map(([name, member]) => [kebab(name), plain(member)]));
}

function outcomeOf({ reply, failed }) {
  if (failed !== undefined) return { tag: 'failed', val: failed };
  const body = typeof reply.body === 'string' ? new TextEncoder().encode(reply.body) : Uint8Array.from(reply.body);
  const head = reply.headers.map(([name, value]) => `${name}: ${value}\n`).join('');
  return { tag: 'reply', val: { status: reply.status, head, body } };
}

/** What is remembered of an endpoint: nothing yet, but for what a case says. */
function endpointOf(untried, asked) {
  if (asked === undefined) return untried;
  const lastSuccess = asked['last-success'];
  return {
    ...untried,
    notBefore: BigInt(asked['not-before']),
    consecutiveFailures: asked['consecutive-failures'],
    lastSuccess: lastSuccess === null ? undefined : BigInt(lastSuccess),
  };
}

/** One delivery: each outcome comes at the instant that the verdict before it named. */
function deliver(dispatcher, untried, target, notification, asked) {
  // Nobody has the last of all numbers.
  const number = dispatcher.targets().findIndex(({ name }) => name === target) >>> 0;
  const firstTried = BigInt(asked.attempt['first-tried']);
  const plain = asked.attempt.plain ?? false;
  const attempt = (n, began) => {
    const number = asked.attempt.number + n;
    return { number, sent: number, queuedAt: notification.at, firstTried, began, level: notification.level, plain };
  };
  let now = BigInt(asked.now);
  let endpoint = endpointOf(untried, asked.endpoint);
  const requests = result(() => dispatcher.format(number, notification, plain, now));
  const attempts = asked.outcomes.map((outcome, n) => {
    const admission = dispatcher.admit(number, [attempt(n, now)], endpoint, now);
    const tried = { attempt: attempt(n, now), outcome: outcomeOf(outcome), entropy: BigInt(asked.entropy) };
    const judged = dispatcher.judge(number, [tried], admission.endpoint, now);
    const answer = { now, admission, judged };
    const [{ verdict }] = judged.judgements;
    endpoint = judged.endpoint;
    if (verdict.tag === 'retry') now = verdict.val;
    return answer;
  });
  return { target, requests, attempts };
}

function answersTo(cases, { catalog, ingest, dispatcher: { Dispatcher, untried } }) {
  const { config } = cases;
  const dispatcher = Dispatcher.open(JSON.stringify(config));
  const used = new Set([...config.targets, ...config.providers.notification].map((target) => target.provider));
  const opened = (config) => result(() => void Dispatcher.open(text(config)));
  const read = ({ json, id, at }) => result(() => ingest.read(json, id, BigInt(at)));
  return plain({
    catalog: catalog.providers().filter(({ name }) => used.has(name)).map(({ name, origins }) => ({ name, origins })),
    targets: dispatcher.targets(),
    badConfigs: cases['bad-configs'].map(({ name, config }) => ({ name, opened: opened(config) })),
    ingest: cases.ingest.map((asked) => ({ name: asked.name, read: read(asked) })),
    cases: cases.cases.map((asked) => {
      const notification = ingest.read(text(asked.notification), asked.id, BigInt(asked.at));
      const decisions = dispatcher.explain(notification);
      const [routed] = dispatcher.route([notification]);
      const { level, to, tags } = notification;
      const some = (names) => (names.length > 0 ? names : undefined);
      const [taken] = dispatcher.routeEnvelopes([{ level, to: some(to), tags: some(tags) }]);
      // But for targets whose condition does not hold.
      const all = dispatcher.targets();
      const same = (target) => routed.targets.includes(target) || !all[target].hasCondition;
      assert.deepEqual({ ...taken, targets: taken.targets.filter(same) }, routed);
      const chosen = decisions.filter(({ choice }) => choice === 'send').map(({ target }) => target);
      const targets = [...chosen, ...(asked.ask ?? [])];
      const deliveries = targets.map((target) => deliver(dispatcher, untried(), target, notification, asked));
      return { name: asked.name, routed, notification, decisions, deliveries };
    }),
  });
}

const write = (value) => `${JSON.stringify(value, null, 1)}\n`;

/** The answers one by one, each with what it is to be called in a report. */
function entries({ catalog, targets, ...lists }) {
  const named = ([part, list]) => list.map((entry) => [`${part}: ${entry.name}`, write(entry)]);
  return new Map([['catalog', write(catalog)], ['targets', write(targets)], ...Object.entries(lists).flatMap(named)]);
}

const golden = (name) => readFile(new URL(`../../golden/${name}`, import.meta.url), 'utf8');
const answers = answersTo(JSON.parse(await golden('cases.json')), await load(process.argv[2]));
const expectedText = await golden('expected.json');
const [got, wanted] = [entries(answers), entries(JSON.parse(expectedText))];
let failed = 0;
for (const name of new Set([...wanted.keys(), ...got.keys()])) {
  try {
    assert.equal(got.get(name), wanted.get(name));
  } catch (error) {
    failed += 1;
    console.log(`${name}\n${error.message}\n`);
  }
}
if (failed === 0 && write(answers) !== expectedText) {
  failed += 1;
  console.log('the answers are the same, and expected.json has them in another order or form');
}
console.log(`node host: ${got.size - failed} passed, ${failed} failed`);
process.exitCode = failed === 0 ? 0 : 1;
