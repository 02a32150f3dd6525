import { expect, test } from 'vitest';
import { dvdi, exchange, parseAnswer, requestBytes } from '../support/dvdi-client.ts';
import { fakeDriver } from './fake-driver.ts';
import { serving } from './serving.ts';

const raw = async (socketPath: string, lines: string[], body: string) =>
  parseAnswer(await exchange(socketPath, [...lines, '', body].join('\r\n')));

test('activation and capabilities need no driver', async () => {
  const { call } = await serving(new Promise<never>(() => {}));
  expect((await call('Plugin.Activate')).body).toEqual({ Implements: ['VolumeDriver'], Err: '' });
  expect((await call('VolumeDriver.Capabilities', {})).body).toEqual({ Capabilities: { Scope: 'global' }, Err: '' });
});

test('every verb reaches the driver in its own words', async () => {
  const driver = fakeDriver();
  const { call } = await serving(driver);
  expect((await call('VolumeDriver.Create', { Name: 'a', Opts: { size: '5' } })).body).toEqual({ Err: '' });
  expect((await call('VolumeDriver.Mount', { Name: 'a', ID: 'i1' })).body).toEqual({ Mountpoint: '/mnt/a', Err: '' });
  expect((await call('VolumeDriver.Path', { Name: 'a' })).body).toEqual({ Mountpoint: '', Err: '' });
  expect((await call('VolumeDriver.Unmount', { Name: 'a', ID: 'i1' })).body).toEqual({ Err: '' });
  expect((await call('VolumeDriver.Remove', { Name: 'a' })).body).toEqual({ Err: '' });
  expect(driver.calls).toEqual([
    ['create', 'a', { size: '5' }],
    ['mount', 'a', 'i1'],
    ['path', 'a'],
    ['unmount', 'a', 'i1'],
    ['remove', 'a'],
  ]);
});

test('get and list show volumes as dockerd decodes them', async () => {
  const createdAt = '2026-11-22T10:00:00.5Z';
  const driver = fakeDriver({
    get: async (name) => ({ name, mountpoint: '/m', createdAt, status: { state: 'mounted' } }),
    list: async () => [
      { name: 'a', mountpoint: '/m' },
      { name: 'b', mountpoint: undefined },
    ],
  });
  const { call } = await serving(driver);
  expect((await call('VolumeDriver.Get', { Name: 'a' })).body).toEqual({
    Volume: { Name: 'a', Mountpoint: '/m', CreatedAt: createdAt, Status: { state: 'mounted' } },
    Err: '',
  });
  expect((await call('VolumeDriver.List', {})).body).toEqual({
    Volumes: [
      { Name: 'a', Mountpoint: '/m' },
      { Name: 'b', Mountpoint: '' },
    ],
    Err: '',
  });
});

test.each([undefined, '', 'yesterday', '2026-11-22', '2026-13-45T99:00:00Z'])(
  'a creation time of %j, on which dockerd would forget the volume, is left out',
  async (createdAt) => {
    const driver = fakeDriver({ get: async (name) => ({ name, mountpoint: undefined, createdAt, status: {} }) });
    const { call } = await serving(driver);
    expect((await call('VolumeDriver.Get', { Name: 'a' })).body).toEqual({
      Volume: { Name: 'a', Mountpoint: '', Status: {} },
      Err: '',
    });
  },
);

test('answers carry the plugin content type, failures too', async () => {
  const { call } = await serving(fakeDriver());
  for (const { headers } of [await call('Plugin.Activate'), await call('VolumeDriver.Mount'), await call('nothing')]) {
    expect(headers['content-type']).toBe('application/vnd.docker.plugins.v1.2+json');
  }
});

const mountBody = '{"Name":"a","ID":"i"}\n';
const shapes: Record<string, string[]> = {
  'dockerd 20.10: empty Host, no Content-Type': ['Host: '],
  'dockerd today': ['Host: plugin.moby.localhost'],
  'Docker before 1.11: the socket path as Host': ['Host: /run/docker/plugins/ebs.sock'],
  'no Host at all': [],
  'curl -d': ['Host: x', 'Content-Type: application/x-www-form-urlencoded'],
  'go-plugins-helpers': ['Host: x', 'Content-Type: application/vnd.docker.plugins.v1.1+json'],
  'JSON with a charset': ['Host: x', 'Content-Type: application/json; charset=utf-8'],
  'a malformed Content-Type': ['Host: x', 'Content-Type: ;;; nonsense'],
  'a Content-Type of text': ['Host: x', 'Content-Type: text/plain'],
};
test.each(Object.entries(shapes))('understands %s', async (_name, headers) => {
  const driver = fakeDriver();
  const { socketPath } = await serving(driver);
  const head = ['POST /VolumeDriver.Mount HTTP/1.1', ...headers, `Content-Length: ${mountBody.length}`];
  expect((await raw(socketPath, head, mountBody)).body).toEqual({ Mountpoint: '/mnt/a', Err: '' });
  expect(driver.calls).toEqual([['mount', 'a', 'i']]);
});

test('understands chunks, a query and Expect: 100-continue', async () => {
  const { socketPath } = await serving(fakeDriver());
  const chunks = `5\r\n${mountBody.slice(0, 5)}\r\n${(mountBody.length - 5).toString(16)}\r\n${mountBody.slice(5)}\r\n0\r\n\r\n`;
  const chunked = ['POST /VolumeDriver.Mount?x=1 HTTP/1.1', 'Host: ', 'Transfer-Encoding: chunked'];
  expect((await raw(socketPath, chunked, chunks)).status).toBe(200);
  const expecting = ['POST /VolumeDriver.Mount HTTP/1.1', 'Host: ', `Content-Length: ${mountBody.length}`];
  expect((await raw(socketPath, [...expecting, 'Expect: 100-continue'], mountBody)).status).toBe(200);
});

test('two calls on one connection, in order', async () => {
  const driver = fakeDriver();
  const { socketPath } = await serving(driver);
  const both =
    requestBytes('VolumeDriver.Mount', '{"Name":"a"}') + requestBytes('VolumeDriver.Unmount', '{"Name":"a"}');
  await exchange(socketPath, both);
  await expect
    .poll(() => driver.calls)
    .toEqual([
      ['mount', 'a', undefined],
      ['unmount', 'a', undefined],
    ]);
});

test.each([
  [{ Name: 'a' }, undefined],
  [{ Name: 'a', ID: '' }, undefined],
  [{ Name: 'a', ID: null }, undefined],
  [{ Name: 'a', ID: 'x', Extra: { y: [1] } }, 'x'],
])('mount and unmount of %j are for holder %j', async (body, holder) => {
  const driver = fakeDriver();
  const { call } = await serving(driver);
  expect((await call('VolumeDriver.Mount', body)).status).toBe(200);
  expect((await call('VolumeDriver.Unmount', body)).status).toBe(200);
  expect(driver.calls).toEqual([
    ['mount', 'a', holder],
    ['unmount', 'a', holder],
  ]);
});

test.each([{ Name: 'a' }, { Name: 'a', Opts: null }, { Name: 'a', Opts: {} }])(
  'create of %j has no options',
  async (body) => {
    const driver = fakeDriver();
    const { call } = await serving(driver);
    expect((await call('VolumeDriver.Create', body)).status).toBe(200);
    expect(driver.calls).toEqual([['create', 'a', {}]]);
  },
);

test('an option that is null is not given, and a number or a truth is its text', async () => {
  const driver = fakeDriver();
  const { call } = await serving(driver);
  const Opts = { size: 20, encrypted: true, overwriteFs: false, kmsKeyId: null, type: 'gp3' };
  expect((await call('VolumeDriver.Create', { Name: 'a', Opts })).status).toBe(200);
  const options = { size: '20', encrypted: 'true', overwriteFs: 'false', type: 'gp3' };
  expect(driver.calls).toEqual([['create', 'a', options]]);
});

test('names reach the driver as they are', async () => {
  const names = ['../../etc/x', '/abs', '..', 'a/b', ' sp ace ', 'ünï', 'a\nb', '__proto__', 'x'.repeat(300)];
  const driver = fakeDriver();
  const { call } = await serving(driver);
  for (const Name of names) await call('VolumeDriver.Remove', { Name });
  expect(driver.calls).toEqual(names.map((name) => ['remove', name]));
});

test.each(['Plugin.Activate', 'VolumeDriver.Capabilities', 'VolumeDriver.List'])(
  '%s needs no body',
  async (endpoint) => {
    const { call, socketPath } = await serving(fakeDriver());
    expect((await call(endpoint)).status).toBe(200);
    expect((await call(endpoint, {})).status).toBe(200);
    expect((await raw(socketPath, [`POST /${endpoint} HTTP/1.1`, 'Host: '], '')).status).toBe(200);
  },
);

test.each(['Create', 'Get', 'Mount', 'Unmount', 'Path', 'Remove'])(
  '%s without a body, as dockerd repeats it, is refused and does nothing',
  async (verb) => {
    const driver = fakeDriver();
    const { call, socketPath } = await serving(driver);
    const blank = parseAnswer(await exchange(socketPath, requestBytes(`VolumeDriver.${verb}`, '\n')));
    for (const answer of [await call(`VolumeDriver.${verb}`), await call(`VolumeDriver.${verb}`, null), blank]) {
      expect(answer.status).toBe(400);
      expect(answer.body.Err).toMatch(/the request has no body .*\. Try again\.$/);
    }
    expect(driver.calls).toEqual([]);
  },
);

test.each([
  ['Create', '{"Name":"a","Opts":{"size":[5]}}', /Opts\.size must be either string or number or boolean or null/],
  ['Create', '{"Name":"a","Opts":{"a\\nb":{}}}', /must be either string/],
  ['Create', '{"Name":"a","Opts":{"__proto__":{"size":"5"}}}', /Opts\.__proto__ must be either string/],
  ['Create', '{"Name":"a","Opts":[]}', /Opts must be object/],
  ['Create', '{"Name":"a","Opts":"size=5"}', /Opts must be object/],
  ['Mount', '{"__proto__":{"Name":"a"}}', /the body must have required properties Name/],
  ['Mount', '{"name":"a"}', /required properties Name/],
  ['Mount', '{"Name":""}', /Name must not have fewer than 1 characters/],
  ['Mount', '{"Name":5}', /Name must be string/],
  ['Mount', '{"Name":"a","ID":5}', /ID must be string/],
  ['Mount', '{"Name":"a"', /its body is not JSON/],
  ['Mount', 'Name=a', /its body is not JSON/],
  ['Mount', '[]', /the body must be object/],
  ['Mount', '"a"', /the body must be object/],
  ['List', '5', /the body must be object/],
  ['List', '{', /its body is not JSON/],
  ['Plugin.Activate', '{', /its body is not JSON/],
])('%s of %s is refused with what is wrong', async (verb, text, problem) => {
  const driver = fakeDriver();
  const { socketPath } = await serving(driver);
  const endpoint = verb.includes('.') ? verb : `VolumeDriver.${verb}`;
  const answer = parseAnswer(await exchange(socketPath, requestBytes(endpoint, text)));
  expect(answer.status).toBe(400);
  expect(answer.body.Err).toMatch(problem);
  expect(Object.keys(answer.body)).toEqual(['Err']);
  expect(driver.calls).toEqual([]);
});

test('odd keys are harmless', async () => {
  const driver = fakeDriver();
  const { socketPath } = await serving(driver);
  const text =
    '{"Name":"a","Name":"b","__proto__":{"x":"y"},"constructor":{"prototype":{"x":1}},"Opts":{"__proto__":"z"}}';
  expect(parseAnswer(await exchange(socketPath, requestBytes('VolumeDriver.Create', text))).status).toBe(200);
  expect(driver.calls[0]?.[1]).toBe('b');
  expect(Object.entries(driver.calls[0]?.[2] as object)).toEqual([['__proto__', 'z']]);
  expect(({} as Record<string, unknown>)['x']).toBeUndefined();
});

test('bytes that are not UTF-8 are refused', async () => {
  const { socketPath } = await serving(fakeDriver());
  const body = Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]);
  const head = `POST /VolumeDriver.Mount HTTP/1.1\r\nHost: \r\nContent-Length: ${body.length}\r\n\r\n`;
  const answer = parseAnswer(await exchange(socketPath, Buffer.concat([Buffer.from(head), body])));
  expect([answer.status, answer.body.Err]).toEqual([400, expect.stringMatching(/not JSON/)]);
});

test('a body over 1 MiB is refused, declared or not', async () => {
  const driver = fakeDriver();
  const { socketPath } = await serving(driver);
  const declared = ['POST /VolumeDriver.Mount HTTP/1.1', 'Host: ', 'Content-Length: 99999999'];
  expect(await raw(socketPath, declared, '{"Name":"')).toMatchObject({
    status: 400,
    body: { Err: expect.stringMatching(/too large/) },
  });
  const size = 1024 * 1024 + 1;
  const chunked = ['POST /VolumeDriver.Mount HTTP/1.1', 'Host: ', 'Transfer-Encoding: chunked'];
  const answer = await raw(socketPath, chunked, `${size.toString(16)}\r\n${'x'.repeat(size)}\r\n0\r\n\r\n`);
  expect(answer).toMatchObject({ status: 400 });
  expect(answer.body.Err).toMatch(/too large/);
  expect(driver.calls).toEqual([]);
});

test.each([
  ['POST', '/', 404],
  ['POST', '/VolumeDriver.Nothing', 404],
  ['POST', '/volumedriver.mount', 404],
  ['GET', '/VolumeDriver.List', 404],
  ['HEAD', '/VolumeDriver.List', 404],
  ['PUT', '/VolumeDriver.Mount', 404],
  ['DELETE', '/x', 404],
  ['OPTIONS', '*', 404],
  ['POST', '/%zz', 400],
  ['BREW', '/', 400],
])('%s %s is no call of the protocol', async (method, path, status) => {
  const { socketPath } = await serving(fakeDriver());
  const answer = await raw(
    socketPath,
    [`${method} ${path} HTTP/1.1`, 'Host: ', 'Content-Length: 0', 'Connection: close'],
    '',
  );
  expect(answer.status).toBe(status);
  if (method !== 'HEAD') expect(answer.body).toEqual({ Err: expect.stringMatching(/^cannot /) });
});

test('a request is one line at debug', async () => {
  const { call, lines } = await serving(fakeDriver());
  await call('VolumeDriver.Mount', { Name: 'a', ID: 'i' });
  await expect.poll(() => lines).toHaveLength(1);
  expect(lines[0]).toMatchObject({ level: 20, op: 'mount', volume: 'a', status: 200, ms: expect.any(Number) });
});

test('a hundred callers at once are served', async () => {
  const { socketPath } = await serving(fakeDriver());
  const names = Array.from({ length: 100 }, (_, index) => `v${index}`);
  const answers = await Promise.all(names.map((Name) => dvdi(socketPath).call('VolumeDriver.Mount', { Name })));
  expect(answers.map(({ body }) => body.Mountpoint)).toEqual(names.map((name) => `/mnt/${name}`));
});
