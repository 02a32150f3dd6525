import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Dockerd, startDockerd, withVolume } from '../support/dockerd.ts';
import { requires } from '../support/requirements.ts';
import { eventually, mountedAt, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'dockerd');

/** Within this a holder whose container is gone has been noticed, judged and let go (docs/failure-modes.md). */
const minuteMs = 60_000;

/** An engine that fills a volume without a container, and without an open file meanwhile, as dockerd does in copy-up. */
const filling = `
  const { request } = require('node:http');
  const { writeFileSync } = require('node:fs');
  request({ socketPath: process.argv[1], path: '/VolumeDriver.Mount', method: 'POST' }, (answer) => {
    answer.on('data', (text) => {
      const { Mountpoint } = JSON.parse(text);
      writeFileSync(Mountpoint + '/first', '');
      console.log(Mountpoint);
      process.stdin.once('data', () => {
        writeFileSync(Mountpoint + '/second', '');
        console.log('second');
      });
    });
  }).end(JSON.stringify({ Name: 'filling', ID: 'filling' }));
`;

describe.skipIf(skip)('a dockerd that is killed, its containers with it', () => {
  let box: TestSandbox;
  let engine: Dockerd;
  let startedAt: number;
  let before: string[];
  let filler: ChildProcess;
  let filled: string;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_LINGER: '0.5' } });
    engine = await startDockerd(box.node(0).socket);
    await box.ok(0, 'Create', { Name: 'filling', Opts: { size: '1' } });
    filler = spawn(process.execPath, ['-e', filling, box.node(0).socket], { stdio: ['pipe', 'pipe', 'inherit'] });
    filled = String((await once(filler.stdout as NonNullable<typeof filler.stdout>, 'data'))[0]).trim();
    await Promise.all([
      runOn('again', '--network', 'none', ...withVolume('again'), ...withVolume('again-too', '/w')),
      runOn('removed', '--network', 'none', ...withVolume('removed')),
      runOn('always', '--network', 'none', '--restart', 'always', ...withVolume('always')),
    ]);
    for (const name of ['again', 'removed', 'always']) await sh(name, `echo ${name} > /v/file; sync -f /v`);
    before = await holders('always');
    await engine.kill();
    await engine.start();
    startedAt = Date.now();
  });
  afterAll(async () => {
    filler?.kill('SIGKILL');
    await engine?.stop();
    await box?.close();
  });

  const runOn = (name: string, ...args: string[]) =>
    engine.ok('run', '-d', '--name', name, ...args, 'busybox', 'sleep', '1000');
  const sh = (name: string, script: string) => engine.ok('exec', name, 'sh', '-c', script);
  const holders = async (name: string) =>
    ((await engine.volume(name)).Status.holders as { id: string }[]).map(({ id }) => id);
  const target = (name: string) => `${box.node(0).root}/volumes/${name}`;

  it('ends those without a restart policy', async () => {
    expect(await engine.ok('inspect', '-f', '{{.State.Status}}', 'again', 'removed')).toBe('exited\nexited');
  });

  it('mounts for one with a restart policy under its old id, with what it wrote', async () => {
    await eventually(async () => (await engine.docker('exec', 'always', 'true')).code === 0);
    expect(before).toEqual([expect.stringMatching(/^[0-9a-f]{64}$/)]);
    expect(await holders('always')).toEqual(before);
    expect(await sh('always', 'echo on >> /v/file; cat /v/file')).toBe('always\non');
  });

  it('never says that the volumes of the dead are free: the driver finds out, within a minute', async () => {
    await engine.ok('rm', '-f', 'removed');
    await Promise.all(['again', 'again-too', 'removed'].map((name) => box.detached(name)));
    expect(Date.now() - startedAt).toBeLessThan(minuteMs);
    const log = (await readFile(box.node(0).log, 'utf8')).split('\n');
    for (const name of ['again', 'again-too', 'removed']) {
      expect(await mountedAt(target(name))).toBeUndefined();
      expect(await holders(name)).toEqual([]);
      expect(log.some((line) => line.includes(`"volume":"${name}"`) && line.includes('never said so'))).toBe(true);
    }
  });

  it('interrupts no engine that runs meanwhile and fills a volume before its container starts', async () => {
    const second = once(filler.stdout as NonNullable<typeof filler.stdout>, 'data');
    filler.stdin?.write('go on\n');
    await second;
    expect(await mountedAt(target('filling'))).toBeDefined();
    expect(await readdir(filled)).toEqual(['first', 'second']);
    const log = await readFile(box.node(0).log, 'utf8');
    expect(log.split('\n').filter((line) => line.includes('"volume":"filling"') && line.includes('unmount'))).toEqual(
      [],
    );
    filler.kill('SIGKILL');
    await box.detached('filling');
  });

  it('keeps all the while the volume of the one that runs', async () => {
    expect(await sh('always', 'echo still >> /v/file; cat /v/file')).toBe('always\non\nstill');
    expect(await holders('always')).toEqual(before);
    await engine.ok('stop', '-t', '0', 'always');
    await box.detached('always');
  });

  it('starts a dead one again with what it wrote', async () => {
    await engine.ok('start', 'again');
    expect(await sh('again', 'echo on >> /v/file; cat /v/file')).toBe('again\non');
    expect(await holders('again')).toHaveLength(1);
    await engine.ok('stop', '-t', '0', 'again');
    await Promise.all([box.detached('again'), box.detached('again-too')]);
  });

  it('gives the volume of a removed one to the next, with what is on it', async () => {
    const args = ['run', '--rm', '--network', 'none', ...withVolume('removed'), 'busybox'];
    expect(await engine.ok(...args, 'cat', '/v/file')).toBe('removed');
    await box.detached('removed');
    await engine.ok('volume', 'rm', 'removed');
    expect(await box.volumes('removed')).toEqual([]);
  });
});
