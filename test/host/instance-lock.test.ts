import { randomUUID } from 'node:crypto';
import { mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { Server } from 'node:net';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { isInstanceLocked, type LockPlace, lockInstance } from '../../src/host/instance-lock.ts';
import { daemon, squatter } from '../support/lock-holders.ts';
import { requires } from '../support/requirements.ts';

const { skip } = requires('root');

let deviceRoot: string;
/** One for each test: the lock of this process itself is for good. */
let instanceId: string;
beforeEach(async () => {
  instanceId = `i-lock-${randomUUID()}`;
  deviceRoot = await mkdtemp('/var/tmp/dve-lock-');
  onTestFinished(() => rm(deviceRoot, { recursive: true, force: true }));
});

const placeOf = (cluster = 'production', instance = instanceId): LockPlace => ({
  ...{ deviceRoot, cluster, instanceId: instance },
});
describe('the lock', () => {
  it('is for one daemon of a cluster on an instance, until that one is gone', async () => {
    const first = await daemon(placeOf());
    expect(first.said).toBe('locked');
    expect((await daemon(placeOf())).said).toMatch(/serve the cluster production .*another daemon/);
    await first.kill();
    expect((await daemon(placeOf())).said).toBe('locked');
  });

  it('goes to one of many that start at once where one was killed', async () => {
    const first = await daemon(placeOf());
    await first.kill();
    const said = (await Promise.all(Array.from({ length: 4 }, () => daemon(placeOf())))).map((each) => each.said);
    expect(said.filter((each) => each === 'locked')).toHaveLength(1);
  });

  it('leaves other clusters and other instances alone', async () => {
    const long = 'a cluster with a very long name '.repeat(20);
    for (const [instance, cluster] of [
      [`${instanceId}-2`, 'production'],
      [`${instanceId}-2`, 'staging'],
      [`${instanceId}-2`, long],
      [`${instanceId}-3`, 'production'],
    ] as const) {
      expect((await daemon(placeOf(cluster, instance))).said).toBe('locked');
    }
  });

  it('is in a directory that is root’s alone, also where that was made for all', async () => {
    const directory = join(deviceRoot, 'docker-volume-ebs');
    await mkdir(directory, { mode: 0o755 });
    await lockInstance(placeOf(), () => undefined);
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
  });

  it('that cannot be had for another reason is not laid on another daemon', async () => {
    await writeFile(join(deviceRoot, 'docker-volume-ebs'), '');
    const failing = lockInstance(placeOf(), () => undefined);
    await expect(failing).rejects.toThrow(/serve the cluster production .*EEXIST.*\/dev of its host/);
    await expect(failing).rejects.not.toThrow('another daemon');
  });

  it('is seen by whoever asks for it', async () => {
    expect(await isInstanceLocked(placeOf())).toBe(false);
    const first = await daemon(placeOf());
    expect([await isInstanceLocked(placeOf()), await isInstanceLocked(placeOf('staging'))]).toEqual([true, false]);
    await first.kill();
    expect(await isInstanceLocked(placeOf())).toBe(false);
  });
});

describe.skipIf(skip)('the lock of version 0.1.0', () => {
  const node = process.execPath;

  it.each([
    ['another user', ['setpriv', '--reuid', '65534', '--clear-groups', node]],
    ['root without its rights', ['setpriv', '--bounding-set', '-sys_admin', node]],
    ['root of a user namespace', ['unshare', '--user', '--map-root-user', node]],
  ])('does not stop a daemon where %s has it', async (_who, program) => {
    expect((await squatter(placeOf(), program)).said).toBe('bound');
    const { said } = await daemon(placeOf());
    expect(said).toMatch(/^locked; process \d+, which is none of ours, has the socket/);
  });

  it('is heeded where a daemon has it, until that one is gone', async () => {
    const old = await squatter(placeOf());
    expect((await daemon(placeOf())).said).toMatch(/another daemon/);
    await old.kill();
    const next = await daemon(placeOf());
    expect(next.said).toBe('locked');
    // That version sees this one, too.
    expect((await squatter(placeOf())).said).toBe('EADDRINUSE');
  });

  it('that cannot be had for another reason does not stop a daemon', async () => {
    const listen = vi.spyOn(Server.prototype, 'listen').mockImplementation(function (this: Server) {
      process.nextTick(() => this.emit('error', Object.assign(new Error('denied'), { code: 'EACCES' })));
      return this;
    });
    onTestFinished(() => listen.mockRestore());
    const warnings: string[] = [];
    await lockInstance(placeOf(), (message) => warnings.push(message));
    expect(warnings).toEqual(['a daemon of version 0.1.0 will not see this one: denied']);
  });
});
