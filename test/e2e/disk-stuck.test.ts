import { readFile, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { childrenOf, stallReads } from '../support/stalled-disk.ts';

const { skip } = requires('root', 'loop', 'blkio', 'curl');

describe.skipIf(skip)('a node some of whose disks do not answer', () => {
  let box: TestSandbox;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_LINGER: '600', DVE_MOUNT_TIMEOUT: '8' } });
  });
  afterAll(() => box?.close());

  const mount = async (name: string): Promise<string> =>
    (await box.ok(0, 'Mount', { Name: name, ID: 'one' })).Mountpoint;
  const unmount = (name: string) => box.ok(0, 'Unmount', { Name: name, ID: 'one' });
  const health = async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const request = get({ socketPath: box.node(0).socket, path: '/health' }, (response) => resolve(text(response)));
      request.on('error', reject);
    });
    return JSON.parse(answer) as { status: string; problems: string[] };
  };

  it('serves all others as ever, keeps one process for each that is stuck, and health names these', async () => {
    const stuck = ['one', 'two', 'three', 'four', 'five'];
    for (const name of [...stuck, 'sixth']) {
      await box.ok(0, 'Create', { Name: name, Opts: { size: '1' } });
      await writeFile(`${await mount(name)}/file`, name, { flush: true });
      await unmount(name);
    }
    const volumeIds = await Promise.all(stuck.map(async (name) => (await box.volumes(name))[0]?.VolumeId ?? ''));
    const ends = await Promise.all(volumeIds.map((volumeId) => stallReads(box, volumeId)));
    const mounts = stuck.map((name) => box.call(0, 'Mount', { Name: name, ID: 'two' }));
    await eventually(async () => (await health()).problems.length === stuck.length);

    expect(await readFile(`${await mount('sixth')}/file`, 'utf8')).toBe('sixth');
    expect((await box.ok(0, 'Get', { Name: 'sixth' })).Volume.Status).toMatchObject({ state: 'mounted' });
    await unmount('sixth');
    expect((await box.ok(0, 'Get', { Name: 'one' })).Volume.Status.waitingFor).toMatch(/holds/);

    const { problems } = await health();
    for (const [index, name] of stuck.entries()) {
      expect(problems).toContainEqual(
        expect.stringMatching(`^the disk of volume "${name}" \\(${volumeIds[index]}\\) does not answer`),
      );
    }
    expect(problems).toHaveLength(stuck.length);
    // Whoever tries again joins the work that is stuck.
    await Promise.all(mounts);
    await Promise.all(stuck.map((name) => box.refused(0, 'Mount', { Name: name, ID: 'three' })));
    const workers = (await childrenOf(box.node(0).pid)).filter((line) => line.includes('disk-worker'));
    expect(workers.length).toBeGreaterThanOrEqual(stuck.length);
    expect(workers.length).toBeLessThanOrEqual(stuck.length + 4);

    await Promise.all(ends.map((end) => end()));
    for (const name of stuck) {
      const directory = await eventually(async () => {
        const { status, body } = await box.call(0, 'Mount', { Name: name, ID: 'two' });
        return status === 200 && body.Mountpoint;
      });
      expect(await readFile(`${directory}/file`, 'utf8')).toBe(name);
    }
    expect(await health()).toMatchObject({ status: 'ok', problems: [] });
  });
});
