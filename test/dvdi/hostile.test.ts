import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { endpoints } from '../../src/dvdi/endpoints.ts';
import { type DvdiAnswer, dvdi, exchange, parseAnswer, requestBytes } from '../support/dvdi-client.ts';
import { eventually } from '../support/sandbox.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');
const paths = endpoints.map(({ path }) => path.slice(1));
const atOnce = 100;
/** A daemon grows under load and gives little back; what it may not do is grow with every input. */
const marginKib = 200 * 1024;

/** Sends bytes and no more; gives all that is answered, "" when the connection was closed without an answer. */
function send(socketPath: string, bytes: string | Uint8Array): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  let received = '';
  const socket = connect({ path: socketPath, allowHalfOpen: true }, () => socket.end(bytes));
  socket.setEncoding('utf8');
  socket.setTimeout(20_000, () => socket.destroy());
  socket.on('data', (chunk: string) => {
    received += chunk;
  });
  // Who breaks the rules may be cut off in the middle.
  socket.on('error', () => undefined);
  socket.on('close', () => resolve(received));
  return promise;
}

/** The answers in what was received: broken bytes can hold more than one request. */
function answersIn(received: string): DvdiAnswer[] {
  const answers: DvdiAnswer[] = [];
  for (let left = Buffer.from(received); left.length > 0; ) {
    const head = left.indexOf('\r\n\r\n') + 4;
    const answer = parseAnswer(left.subarray(0, head).toString());
    const end = head + Number(answer.headers['content-length'] ?? 0);
    if (answer.status !== 100) answers.push(parseAnswer(left.subarray(0, end).toString()));
    left = left.subarray(end);
  }
  return answers;
}

/** The contract: JSON with an Err, and a status that fits; never a defect of ours. */
function checkAnswer({ status, body }: DvdiAnswer): void {
  const shown = `${status} ${JSON.stringify(body)}`;
  expect(typeof body.Err, shown).toBe('string');
  expect(body.Err === '', shown).toBe(status === 200);
  expect(shown).not.toContain('This is a defect');
}

async function inParallel<T>(inputs: readonly T[], work: (input: T) => Promise<void>): Promise<void> {
  const left = inputs.values();
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      for (const input of left) await work(input);
    }),
  );
}

const sample = <T>(arbitrary: fc.Arbitrary<T>, count: number, seed: number): T[] =>
  fc.sample(arbitrary, { numRuns: count, seed });

const anyName = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 300 }),
  fc.string({ unit: 'grapheme', maxLength: 100 }),
  fc
    .array(
      fc.constantFrom('..', '.', '/', '\\', '\0', 'a', '~', '%2e%2e', '%2f', '$(id)', ' ', '\n', '=2F', 'escaped'),
      {
        minLength: 1,
        maxLength: 12,
      },
    )
    .map((parts) => parts.join('')),
  fc.constantFrom('../../escaped', '/etc/passwd', '..', '.', '-rf', '\ud800', 'CON', 'a'.repeat(5000), '__proto__'),
);
const anyJson = fc.oneof(
  fc.json(),
  fc
    .record(
      {
        Name: fc.oneof(anyName, fc.jsonValue()),
        ID: fc.oneof(fc.string(), fc.jsonValue()),
        Opts: fc.oneof(fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.jsonValue())), fc.jsonValue()),
      },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
  fc.nat(3000).map((depth) => '['.repeat(depth)),
  fc.nat(3000).map((depth) => `{"Name":${'['.repeat(depth)}${']'.repeat(depth)}}`),
);
const good = Buffer.from(requestBytes('VolumeDriver.Unmount', '{"Name":"a","ID":"b"}\n'));
const anyBytes = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 600 }),
  fc
    .tuple(fc.nat(good.length - 1), fc.nat(20), fc.uint8Array({ maxLength: 20 }))
    .map(([at, cut, bytes]) => Buffer.concat([good.subarray(0, at), bytes, good.subarray(at + cut)])),
  fc
    .tuple(fc.constantFrom('GET', 'PUT', 'PRI * HTTP/2.0', 'CONNECT', 'POST'), fc.string({ unit: 'binary-ascii' }))
    .map(([method, path]) => Buffer.from(`${method} /${path} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n`)),
);

describe('a real daemon whose EC2 refuses connections', () => {
  let child: ChildProcess;
  let directory: string;
  let socketPath: string;
  let tried = 0;
  const idle: Socket[] = [];

  const ask = async (path: string, body: string) => {
    tried += 1;
    const answers = answersIn(await exchange(socketPath, requestBytes(path, body)));
    expect(answers).toHaveLength(1);
    for (const answer of answers) checkAnswer(answer);
  };
  const askBytes = async (bytes: Uint8Array) => {
    tried += 1;
    for (const answer of answersIn(await send(socketPath, bytes))) {
      checkAnswer(answer);
      expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(500);
    }
  };
  const answersNormally = async () => {
    const { call } = dvdi(socketPath);
    expect((await call('Plugin.Activate')).body).toEqual({ Implements: ['VolumeDriver'], Err: '' });
    expect((await call('VolumeDriver.Unmount', { Name: 'a', ID: 'b' })).body).toEqual({ Err: '' });
    expect((await call('VolumeDriver.Get', { Name: 'a' })).body.Err).toMatch(/volume "a": cannot/);
  };
  const residentKib = async () => {
    const status = await readFile(`/proc/${child.pid}/status`, 'utf8');
    return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]);
  };
  /** Every file and directory around, so that whatever a name made shows. */
  const files = async () => (await readdir(directory, { recursive: true })).sort();

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'hostile-'));
    socketPath = join(directory, 'plugins/ebs.sock');
    await mkdir(join(directory, 'node/beside'), { recursive: true });
    await writeFile(join(directory, 'node/beside/file'), 'there before');
    const env = {
      PATH: process.env['PATH'],
      AWS_REGION: 'eu-west-1',
      AWS_ACCESS_KEY_ID: 'test',
      AWS_SECRET_ACCESS_KEY: 'test',
      AWS_ENDPOINT_URL_EC2: 'http://127.0.0.1:1',
      AWS_EC2_METADATA_DISABLED: 'true',
      // Not that of another run of these tests: one daemon serves a cluster on an instance.
      DVE_INSTANCE_ID: `i-${process.pid}`,
      DVE_AVAILABILITY_ZONE: 'eu-west-1a',
      DVE_SOCKET: socketPath,
      DVE_ROOT: join(directory, 'node/root'),
    };
    child = spawn(process.execPath, [main, 'serve'], { env, stdio: ['ignore', 'ignore', 'inherit'] });
    await eventually(async () => (await send(socketPath, requestBytes('Plugin.Activate', ''))) !== '');
    await answersNormally();
  });
  afterAll(async () => {
    for (const socket of idle) socket.destroy();
    child?.kill('SIGKILL');
    await rm(directory, { recursive: true, force: true });
  });

  test('withstands everything that a socket can be sent', async () => {
    const seed = Number(process.env['PROPERTY_SEED'] ?? Date.now() % 2 ** 31);
    const slow = dripping(socketPath, requestBytes('VolumeDriver.Get', '{"Name":"slow"}'));
    for (let index = 0; index < 60; index++) {
      const socket = connect(socketPath);
      socket.on('error', () => undefined);
      if (index % 2 === 1) socket.write('POST /VolumeDriver.Mount HTTP/1.1\r\nContent-Length: 100\r\n\r\n{"Name"');
      idle.push(socket);
    }
    await inParallel(sample(anyBytes, 300, seed), askBytes);
    const before = await files();
    const atFirst = await residentKib();

    await inParallel(sample(anyBytes, 9500, seed + 1), askBytes);
    await answersNormally();
    const anyCall = fc.tuple(fc.constantFrom(...paths), anyJson);
    await inParallel(sample(anyCall, 2500, seed + 2), ([path, body]) => ask(path, body));
    await answersNormally();
    const anyNamed = fc.tuple(fc.constantFrom(...paths), anyName);
    await inParallel(sample(anyNamed, 600, seed + 3), ([path, name]) =>
      ask(path, JSON.stringify({ Name: name, ID: name, Opts: { size: '1', mkfsOptions: name, mountOptions: name } })),
    );
    await answersNormally();
    const mixed = fc.oneof(
      anyBytes.map((bytes) => () => askBytes(bytes)),
      anyCall.map(
        ([path, body]) =>
          () =>
            ask(path, body),
      ),
      fc.constant(() => ask('Plugin.Activate', '')),
      fc.constant(() => ask('VolumeDriver.Unmount', '{"Name":"a","ID":"b"}')),
    );
    await inParallel(sample(mixed, 1500, seed + 4), (input) => input());
    await answersNormally();

    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
    const grownKib = (await residentKib()) - atFirst;
    expect(grownKib).toBeLessThan(marginKib);
    expect(await files()).toEqual(before);
    await slow;
    process.stdout.write(
      `hostile inputs tried: ${tried} (seed ${seed}), ${atOnce} at once; grown by ${Math.round(grownKib / 1024)} MiB\n`,
    );
  }, 300_000);
});

/** Sends a byte a second until it is cut off; gives how many were sent. */
async function dripping(socketPath: string, bytes: string): Promise<number> {
  const socket = connect(socketPath);
  let open = true;
  socket.on('error', () => undefined);
  socket.on('close', () => {
    open = false;
  });
  socket.resume();
  let sent = 0;
  for (; open && sent < bytes.length; sent++) {
    socket.write(bytes.slice(sent, sent + 1));
    await sleep(1000);
  }
  socket.destroy();
  if (open) throw new Error('a client that sends a byte a second is never cut off');
  return sent;
}
