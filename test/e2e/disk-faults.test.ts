import { type FileHandle, open, readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { requires } from '../support/requirements.ts';
import { run } from '../support/run.ts';
import { eventually, mountedAt, type TestSandbox, testSandbox } from '../support/sandbox.ts';

const { skip } = requires('root', 'loop', 'aws');

/** An answer that is not held up by another volume comes within this, on a slow machine too. */
const promptMs = 8000;

describe.skipIf(skip)('a node whose disks are in trouble', () => {
  let box: TestSandbox;
  let id: string;
  beforeAll(async () => {
    const nodeEnv = { DVE_LINGER: '0', DVE_ATTACH_TIMEOUT: '6', DVE_MOUNT_TIMEOUT: '8' };
    box = await testSandbox({ nodes: 1, nodeEnv });
    id = box.node(0).instanceId;
  });
  afterAll(() => box?.close());
  afterEach(() => box.clearFaults());

  const create = async (name: string) => {
    await box.ok(id, 'Create', { Name: name, Opts: { size: '1' } });
    return (await box.volumes(name))[0]?.VolumeId ?? '';
  };
  const mount = async (name: string, ID = 'one'): Promise<string> =>
    (await box.ok(id, 'Mount', { Name: name, ID })).Mountpoint;
  const unmount = (name: string, ID = 'one') => box.ok(id, 'Unmount', { Name: name, ID });
  const get = async (name: string) => (await box.ok(id, 'Get', { Name: name })).Volume;
  const attachmentOf = async (name: string) => (await box.volumes(name))[0]?.Attachments?.[0];
  const target = (name: string) => `${box.node(id).root}/volumes/${name}`;
  /** Waits until Status says that the volume waits for this. */
  const waitsFor = (name: string, words: RegExp) =>
    eventually(async () => words.test((await get(name)).Status.waitingFor ?? ''));
  const expectPrompt = async (work: () => Promise<unknown>) => {
    const before = Date.now();
    await work();
    expect(Date.now() - before).toBeLessThan(promptMs);
  };
  /** Another volume lives its whole life meanwhile, as fast as ever. */
  const expectOthersServed = async (name: string) => {
    await expectPrompt(() => create(name));
    await expectPrompt(async () => writeFile(`${await mount(name)}/file`, 'fine'));
    await expectPrompt(() => get(name));
    await expectPrompt(() => box.ok(id, 'List'));
    await expectPrompt(async () => {
      await unmount(name);
      await box.detached(name);
    });
    await expectPrompt(() => box.ok(id, 'Remove', { Name: name }));
  };

  it('takes away the mount of a volume that was detached by force, and the next mount heals', async () => {
    const volumeId = await create('ghost');
    const directory = await mount('ghost');
    await writeFile(`${directory}/file`, 'synced', { flush: true });
    const before = await attachmentOf('ghost');
    const file = await open(`${directory}/late`, 'w');
    await box.aws('detach-volume', '--volume-id', volumeId, '--force');
    await box.detached('ghost');
    await eventually(async () => (await mountedAt(target('ghost'))) === undefined);
    await expect(writeAndSync(file)).rejects.toThrow(/EIO|EROFS/);
    await file.close().catch(() => undefined);
    await eventually(async () => (await get('ghost')).Status.state === 'available');
    expect((await get('ghost')).Status).toMatchObject({ holders: [] });
    const lines = (await readFile(box.node(id).log, 'utf8')).split('\n').filter((line) => line.includes('"ghost"'));
    for (const said of ['its disk is gone from this machine', 'the ghost has ended here'])
      expect(lines.some((line) => line.includes(said))).toBe(true);
    expect(await readFile(`${await mount('ghost', 'two')}/file`, 'utf8')).toBe('synced');
    expect((await attachmentOf('ghost'))?.Device).not.toBe(before?.Device);
    await unmount('ghost', 'one');
    expect((await get('ghost')).Status.holders).toMatchObject([{ id: 'two' }]);
    await unmount('ghost', 'two');
    await box.detached('ghost');
  });

  it('undoes an attachment that never completes, and takes another device name the next time', async () => {
    const volumeId = await create('stuck');
    await box.fault({ kind: 'stuck-attaching', volume: volumeId });
    const mounting = box.refused(id, 'Mount', { Name: 'stuck', ID: 'one' });
    await waitsFor('stuck', /^vol-\w+ to appear on this machine/);
    const { device: before } = (await get('stuck')).Status;
    expect((await get('stuck')).Status).toMatchObject({ state: 'attaching', holders: [] });
    await expectOthersServed('beside-attaching');
    expect(await mounting).toMatch(/volume "stuck": cannot .*\(attaching\)/);
    await box.detached('stuck');
    await eventually(async () => (await get('stuck')).Status.state === 'available');
    await box.clearFaults();
    await mount('stuck', 'two');
    expect((await get('stuck')).Status).toMatchObject({ state: 'mounted', holders: [{ id: 'two' }] });
    expect((await attachmentOf('stuck'))?.Device).not.toBe(before);
    await unmount('stuck', 'two');
    await box.detached('stuck');
  });

  it.each([false, true])('waits for a detach that never completes (busy: %s), and says so', async (busy) => {
    const name = `leaving-${busy}`;
    const volumeId = await create(name);
    await writeFile(`${await mount(name)}/file`, 'kept');
    await box.fault({ kind: 'stuck-detaching', volume: volumeId, busy });
    await expectPrompt(() => unmount(name));
    await waitsFor(name, /^EC2 to detach vol-/);
    await expectOthersServed(`beside-${name}`);
    const refusal = await box.refused(id, 'Mount', { Name: name, ID: 'two' });
    expect(refusal).toMatch(/cannot mount it: .* waiting for EC2 to detach vol-/);
    expect((await attachmentOf(name))?.State).toBe(busy ? 'busy' : 'detaching');
    await box.clearFaults();
    const directory = await eventually(async () => {
      const { status, body } = await box.call(id, 'Mount', { Name: name, ID: 'two' });
      return status === 200 && body.Mountpoint;
    });
    expect(await readFile(`${directory}/file`, 'utf8')).toBe('kept');
    await unmount(name, 'two');
    await box.detached(name);
  });

  describe('and whose journal has a disk of its own', () => {
    const state = () => `${box.node(id).root}/state`;
    beforeAll(async () => {
      process.kill(box.node(id).pid, 'SIGTERM');
      await eventually(async () => box.node(id).pid === 0);
      await run('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', state()]);
      await box.sandbox.startDaemon(id);
    });

    it('takes nothing new once that is full, serves and gives back what is mounted, and goes on once there is room', async () => {
      await create('held');
      await create('new');
      const directory = await mount('held');
      await fill(`${state()}/filler`);
      box.sandbox.resetCalls();
      const refusal = await box.refused(id, 'Mount', { Name: 'new', ID: 'one' });
      expect(refusal).toMatch(/volume "new": cannot use the journal in .*: ENOSPC.*free space there/);
      expect(await get('new')).toMatchObject({ Status: { state: 'available' } });

      await writeFile(`${directory}/file`, 'fine', { flush: true });
      expect(await get('held')).toMatchObject({ Mountpoint: directory, Status: { holders: [{ id: 'one' }] } });
      expect(await box.refused(id, 'Mount', { Name: 'held', ID: 'two' })).toContain('ENOSPC');
      expect(await readFile(`${directory}/file`, 'utf8')).toBe('fine');
      expect((await get('held')).Status).toMatchObject({ state: 'mounted', holders: [{ id: 'one' }] });
      expect(box.sandbox.calls()).not.toHaveProperty('DetachVolume');

      await unmount('held');
      await box.detached('held');
      expect((await get('held')).Status).toMatchObject({ holders: [] });
      expect(box.sandbox.calls()).not.toHaveProperty('AttachVolume');

      await rm(`${state()}/filler`);
      expect(await readFile(`${await mount('held', 'two')}/file`, 'utf8')).toBe('fine');
      await writeFile(`${await mount('new')}/file`, 'fine');
      await unmount('held', 'two');
      await unmount('new');
      await Promise.all([box.detached('held'), box.detached('new')]);
    });

    it('gives a holder that asks again its directory though that is full', async () => {
      const directory = await mount('held');
      onTestFinished(async () => {
        await rm(`${state()}/filler`);
        await unmount('held');
        await box.detached('held');
      });
      await fill(`${state()}/filler`);
      expect(await mount('held')).toBe(directory);
    });

    it('is started on a full one and serves what is mounted', async () => {
      const directory = await mount('held');
      await fill(`${state()}/filler`);
      process.kill(box.node(id).pid, 'SIGKILL');
      await eventually(async () => box.node(id).pid === 0);
      await box.sandbox.startDaemon(id);
      expect(await get('held')).toMatchObject({ Mountpoint: directory, Status: { holders: [{ id: 'one' }] } });
      expect((await box.ok(id, 'Path', { Name: 'held' })).Mountpoint).toBe(directory);
      expect(await readFile(`${directory}/file`, 'utf8')).toBe('fine');
      await rm(`${state()}/filler`);
      await unmount('held');
      await box.detached('held');
    });
  });
});

async function writeAndSync(file: FileHandle): Promise<void> {
  await file.writeFile('late');
  await file.sync();
}

/** Takes all the space there is left. */
async function fill(file: string): Promise<void> {
  const { code } = await run('dd', ['if=/dev/zero', `of=${file}`, 'bs=4096']);
  expect(code).not.toBe(0);
}
