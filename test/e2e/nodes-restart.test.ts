import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, mountedAt, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop');

describe.skipIf(skip)('a daemon that ends and starts again', () => {
  let box: TestSandbox;
  let id: string;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1 });
    id = box.node(0).instanceId;
  });
  afterAll(() => box?.close());
  afterEach(() => box.clearFaults());

  const target = (name: string) => join(box.node(id).root, 'volumes', name);
  const create = (name: string) => box.ok(id, 'Create', { Name: name, Opts: { size: '1' } });
  const mount = async (name: string, ID?: string): Promise<string> =>
    (await box.ok(id, 'Mount', { Name: name, ID })).Mountpoint;
  const unmount = (name: string, ID?: string) => box.ok(id, 'Unmount', { Name: name, ID });
  const get = async (name: string) => (await box.ok(id, 'Get', { Name: name })).Volume;
  const holders = async (name: string) =>
    (await get(name)).Status.holders.map((holder: { id: string }) => holder.id) as string[];
  const end = async (signal: 'SIGKILL' | 'SIGTERM') => {
    const { pid } = box.node(id);
    process.kill(pid, signal);
    await eventually(async () => !existsSync(`/proc/${pid}`));
  };
  const restart = async (signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL') => {
    const { pid } = box.node(id);
    await end(signal);
    expect((await box.sandbox.startDaemon(id)).pid).not.toBe(pid);
  };
  const writeOn = async (file: FileHandle, text: string) => {
    await file.appendFile(text);
    await file.sync();
  };

  it.each(['SIGKILL', 'SIGTERM'] as const)(
    'by %s leaves live mounts and their holders as they were',
    async (signal) => {
      const name = `live-${signal.toLowerCase()}`;
      await box.detached('live-sigkill');
      await create(name);
      const directory = await mount(name, 'one');
      await mount(name, 'two');
      await mount(name);
      const file = await open(join(directory, 'log'), 'a');
      try {
        await writeOn(file, 'before ');
        const before = { mount: await mountedAt(target(name)), get: await get(name) };
        box.sandbox.resetCalls();
        await end(signal);
        expect(await mountedAt(target(name))).toEqual(before.mount);
        await writeOn(file, 'meanwhile ');
        await box.sandbox.startDaemon(id);
        expect(await get(name)).toEqual(before.get);
        expect((await box.ok(id, 'Path', { Name: name })).Mountpoint).toBe(directory);
        expect(await mount(name, 'one')).toBe(directory);
        expect(await mountedAt(target(name))).toEqual(before.mount);
        await writeOn(file, 'after');
      } finally {
        await file.close();
      }
      expect(await readFile(join(directory, 'log'), 'utf8')).toBe('before meanwhile after');
      expect(await holders(name)).toEqual(['one', 'two', 'anonymous']);
      await unmount(name, 'one');
      await unmount(name);
      expect(await mountedAt(target(name))).toBeDefined();
      expect(box.sandbox.calls()).not.toHaveProperty('AttachVolume');
      expect(box.sandbox.calls()).not.toHaveProperty('DetachVolume');
      await unmount(name, 'two');
      expect(await mountedAt(target(name))).toBeUndefined();
      await box.detached(name);
    },
  );

  it('releases a volume that was lingering', async () => {
    await create('lingering');
    await mount('lingering', 'one');
    await unmount('lingering', 'one');
    await end('SIGKILL');
    expect(await box.volumes('lingering')).toMatchObject([
      { Attachments: [{ State: expect.stringMatching(/^attach/) }] },
    ]);
    await box.sandbox.startDaemon(id);
    await box.detached('lingering');
    await mount('lingering', 'two');
    await unmount('lingering', 'two');
  });

  it('answers for held volumes, and unmounts them, while EC2 cannot be asked', async () => {
    await create('cut-off');
    const directory = await mount('cut-off', 'one');
    await end('SIGKILL');
    await box.fault({ kind: 'error', action: '*' });
    await box.sandbox.startDaemon(id);
    expect(await get('cut-off')).toMatchObject({ Mountpoint: directory, Status: { state: 'mounted' } });
    expect(await mount('cut-off', 'two')).toBe(directory);
    await unmount('cut-off', 'two');
    await unmount('cut-off', 'one');
    expect(await mountedAt(target('cut-off'))).toBeUndefined();
    const { waitingFor } = await eventually(async () => {
      const { Status } = await get('cut-off');
      return /internal error/i.test(Status.waitingFor) && Status;
    });
    expect(waitingFor).toMatch(/another try to release it, since: .*internal error/i);
    await box.clearFaults();
    await box.detached('cut-off');
  });

  it('killed in the middle of a mount leaves nothing that keeps the next mount from working', async () => {
    await create('interrupted');
    await box.fault({ kind: 'delay', action: 'AttachVolume', ms: 700, times: 1 });
    box.sandbox.resetCalls();
    const cut = box.call(id, 'Mount', { Name: 'interrupted', ID: 'one' }).catch(() => undefined);
    await eventually(async () => box.sandbox.calls()['AttachVolume'] !== undefined);
    await end('SIGKILL');
    expect(await cut).toBeUndefined();
    await box.sandbox.startDaemon(id);
    await mount('interrupted', 'two');
    expect(await holders('interrupted')).toEqual(['two']);
    await unmount('interrupted', 'two');
    await box.detached('interrupted');
  });

  it('killed in the middle of mkfs formats the disk again, and a disk once handed out never', async () => {
    // A mkfs that takes its time.
    const mkfsOptions = '-E lazy_itable_init=0,lazy_journal_init=0';
    await box.ok(id, 'Create', { Name: 'unformatted', Opts: { size: '8', mkfsOptions } });
    const cut = box.call(id, 'Mount', { Name: 'unformatted', ID: 'one' }).catch(() => undefined);
    await eventually(async () => /mkfs/.test((await get('unformatted')).Status.waitingFor));
    await end('SIGKILL');
    expect(await cut).toBeUndefined();
    await box.sandbox.startDaemon(id);
    const directory = await mount('unformatted', 'two');
    const file = await open(join(directory, 'kept'), 'w');
    await writeOn(file, 'data');
    await file.close();
    await restart();
    await unmount('unformatted', 'two');
    await box.detached('unformatted');
    expect(await readFile(join(await mount('unformatted', 'three'), 'kept'), 'utf8')).toBe('data');
    await unmount('unformatted', 'three');
  });

  it('ends and starts with nothing held, and asks EC2 nothing while nothing happens', async () => {
    await eventually(async () => (await box.volumes()).every(({ Attachments = [] }) => Attachments.length === 0));
    await restart('SIGTERM');
    await box.ok(id, 'List');
    await once(AbortSignal.timeout(300), 'abort');
    box.sandbox.resetCalls();
    await once(AbortSignal.timeout(1500), 'abort');
    expect(box.sandbox.calls()).toEqual({});
  });
});
