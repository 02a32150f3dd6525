import { existsSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { bundledDaemon, eventually, type TestSandbox } from '../support/sandbox.ts';
import { Bench, Container, crashSandbox, heldBy, released } from './bench.ts';

const { skip } = requires('root', 'loop');
/** The longest of them only in the full sweep. */
const full = process.env['CRASH_SWEEP'] === 'full';
const changing = /^(Create|Delete|Attach|Detach|Modify|Run|Start|Stop|Terminate)/;

describe.skipIf(skip)('a restart while volumes are in use', () => {
  let box: TestSandbox;
  let bench: Bench;
  const containers: Container[] = [];
  beforeAll(async () => {
    box = await crashSandbox({ daemonCommand: await bundledDaemon() });
    bench = new Bench(box);
  });
  afterEach(async () => {
    await box.clearFaults();
    for (const container of containers.splice(0)) await container.end();
  });
  afterAll(() => box?.close());

  /** A volume mounted for Docker, with data and a container that goes on writing. */
  async function inUse(name: string): Promise<Container> {
    await bench.ok('Create', { Name: name });
    await bench.ok('Mount', { Name: name, ID: `id-${name}` });
    await writeFile(bench.marker(name), name, { flush: true });
    const container = await Container.start(bench, name);
    containers.push(container);
    return container;
  }
  const holdersOf = async (name: string): Promise<string[]> => {
    const { Volume } = await bench.ok('Get', { Name: name });
    return Volume.Status.holders.map(({ id }: { id: string }) => id);
  };
  const changes = () => Object.keys(box.sandbox.calls()).filter((action) => changing.test(action));
  /** Ends the daemon as a supervisor does; gives how long it took, in milliseconds. */
  const terminate = async (): Promise<number> => {
    const started = Date.now();
    process.kill(bench.pid, 'SIGTERM');
    await eventually(async () => bench.pid === 0);
    return Date.now() - started;
  };

  it('keeps holders and mounts after kill -9, and changes nothing in EC2', async () => {
    const container = await inUse('kept');
    box.sandbox.resetCalls();
    await bench.kill();
    await bench.start();
    expect(await holdersOf('kept')).toEqual(['id-kept']);
    expect(await bench.ok('Path', { Name: 'kept' })).toMatchObject({ Mountpoint: `${bench.target('kept')}/data` });
    await container.goesOn();
    await sleep(1500);
    expect(heldBy('id-kept')(await bench.state('kept'), bench)).toBe(true);
    expect(changes()).toEqual([]);
    await container.end();
    await bench.ok('Unmount', { Name: 'kept', ID: 'id-kept' });
    await bench.reaches('kept', released);
  });

  const edits: Record<string, (text: string) => string | undefined> = {
    missing: () => undefined,
    empty: () => '',
    'cut off': (text) => text.slice(0, text.length / 2),
    garbage: () => '\0\xff not a record',
    'without its fields': () => '{"version":1}',
    'of a newer format': (text) => JSON.stringify({ ...JSON.parse(text), version: 99 }),
  };
  it.each(Object.keys(edits))('leaves a container in peace when the record is %s', async (what) => {
    const name = `edited-${what.replaceAll(' ', '-')}`;
    const container = await inUse(name);
    await bench.kill();
    box.sandbox.resetCalls();
    const edited = edits[what]?.(await readFile(bench.recordFile(name), 'utf8'));
    if (edited === undefined) await rm(bench.recordFile(name));
    else await writeFile(bench.recordFile(name), edited);
    await bench.start();
    expect(await bench.attempt('Get', { Name: name })).toBeUndefined();
    await sleep(2000);
    await container.goesOn();
    expect(await bench.state(name)).toMatchObject({
      attachments: [expect.stringContaining(' attached')],
      mounted: true,
    });
    expect(changes()).toEqual([]);
    await bench.ok('Get', { Name: name });
    const listed: { Name: unknown }[] = (await bench.ok('List', {})).Volumes;
    expect(listed.map(({ Name }) => typeof Name)).toEqual(listed.map(() => 'string'));
    expect(listed.map(({ Name }) => Name)).toContain(name);
    // dockerd starts another container: it has the same data, beside the first.
    const { Mountpoint } = await bench.ok('Mount', { Name: name, ID: 'second' });
    expect(await readFile(`${Mountpoint}/marker`, 'utf8')).toBe(name);
    await bench.ok('Unmount', { Name: name, ID: 'second' });
    await container.goesOn();
    await container.end();
    await bench.ok('Unmount', { Name: name, ID: `id-${name}` });
    await bench.ok('Unmount', { Name: name });
    await bench.reaches(name, released);
    await bench.ok('Mount', { Name: name, ID: 'third' });
    expect(await readFile(bench.marker(name), 'utf8')).toBe(name);
    await bench.ok('Unmount', { Name: name, ID: 'third' });
    await bench.reaches(name, released);
  });

  describe('when the record is of another boot, though the mount is there', () => {
    const name = 'other-boot';
    it('leaves the container in peace', async () => {
      const container = await inUse(name);
      await bench.kill();
      box.sandbox.resetCalls();
      const record = JSON.parse(await readFile(bench.recordFile(name), 'utf8'));
      await writeFile(bench.recordFile(name), JSON.stringify({ ...record, bootId: 'another' }));
      await bench.start();
      await sleep(2000);
      await container.goesOn();
      expect(changes()).toEqual([]);
      await bench.ok('Get', { Name: name });
      expect(await bench.state(name)).toMatchObject({
        attachments: [expect.stringContaining(' attached')],
        mounted: true,
      });
    });

    it('releases it once the container has ended', async () => {
      await bench.ok('Unmount', { Name: name, ID: `id-${name}` });
      await bench.reaches(name, released, 12_000);
    });
  });

  it('serves what is mounted while EC2 is down, and releases it once EC2 is back', async () => {
    const container = await inUse('offline');
    await box.fault({ kind: 'error', action: '*', code: 'Unavailable', status: 503, caller: bench.instanceId });
    await bench.kill();
    await bench.start();
    expect(await holdersOf('offline')).toEqual(['id-offline']);
    const started = Date.now();
    const { Mountpoint } = await bench.ok('Mount', { Name: 'offline', ID: 'second' });
    expect(await readFile(`${Mountpoint}/marker`, 'utf8')).toBe('offline');
    await bench.ok('Unmount', { Name: 'offline', ID: 'second' });
    await container.goesOn();
    await container.end();
    await bench.ok('Unmount', { Name: 'offline', ID: 'id-offline' });
    expect(Date.now() - started).toBeLessThan(5000);
    await bench.reaches('offline', ({ mounted, directory }) => !mounted && !directory);
    await sleep(1000);
    expect(await bench.attempt('Get', { Name: 'offline' })).toBeUndefined();
    await box.clearFaults();
    await bench.reaches('offline', released, 40_000);
  });

  it('SIGTERM ends it within 10 s: mounts and records stay, the socket goes', async () => {
    const container = await inUse('stopped');
    const { socket } = box.node(0);
    expect(await terminate()).toBeLessThan(10_000);
    expect(existsSync(socket)).toBe(false);
    expect(heldBy('id-stopped')(await bench.state('stopped'), bench)).toBe(true);
    await container.goesOn();
    await bench.start();
    expect(await holdersOf('stopped')).toEqual(['id-stopped']);
    await container.end();
    await bench.ok('Unmount', { Name: 'stopped', ID: 'id-stopped' });
    await bench.reaches('stopped', released);
  });

  it('SIGTERM lets a mount in hand finish', async () => {
    await bench.ok('Create', { Name: 'finished' });
    await box.fault({ kind: 'delay', action: 'AttachVolume', ms: 2000 });
    const answer = bench.attempt('Mount', { Name: 'finished', ID: 'a' });
    await eventually(async () => (await bench.record('finished')) !== undefined);
    const [tookMs, error] = await Promise.all([terminate(), answer]);
    expect(error).toBeUndefined();
    expect(tookMs).toBeLessThan(10_000);
    await bench.start();
    expect(heldBy('a')(await bench.state('finished'), bench)).toBe(true);
    await bench.ok('Unmount', { Name: 'finished', ID: 'a' });
    await bench.reaches('finished', released);
  });

  it('SIGTERM leaves a mount that takes too long to the next start', async () => {
    await bench.ok('Create', { Name: 'unfinished' });
    await box.fault({ kind: 'stuck-attaching' });
    const answer = bench.attempt('Mount', { Name: 'unfinished', ID: 'a' });
    await eventually(async () => (await bench.record('unfinished')) !== undefined);
    const [tookMs, error] = await Promise.all([terminate(), answer]);
    expect(error).toBeDefined();
    expect(tookMs).toBeLessThan(10_000);
    expect((await stat(bench.recordFile('unfinished'))).size).toBeGreaterThan(0);
    await box.clearFaults();
    await bench.start();
    await bench.reaches('unfinished', released, 40_000);
    await bench.ok('Mount', { Name: 'unfinished', ID: 'a' });
    await bench.ok('Unmount', { Name: 'unfinished', ID: 'a' });
    await bench.reaches('unfinished', released);
  });

  it('an AttachVolume that is still on its way when the daemon dies leaves no orphan', async () => {
    await bench.ok('Create', { Name: 'late' });
    await box.fault({ kind: 'delay', action: 'AttachVolume', ms: 4000, times: 1 });
    const answer = bench.attempt('Mount', { Name: 'late', ID: 'a' });
    await eventually(async () => (await bench.record('late')) !== undefined);
    await sleep(500);
    await bench.kill();
    expect(await answer).toBeDefined();
    await bench.start();
    await eventually(async () => (await bench.state('late')).attachments.length > 0);
    await bench.reaches('late', released, 60_000);
  });

  if (full) {
    it('a holder whose Mount was cut off, and never asked for again, is let go', async () => {
      await bench.ok('Create', { Name: 'unheard' });
      await bench.ok('Mount', { Name: 'unheard', ID: 'a' });
      await bench.kill();
      await bench.start();
      await bench.reaches('unheard', released, 60_000);
    });
  }
});
