import { beforeEach, describe, expect, it, vi } from 'vitest';
import { cleanMark, tagKeys } from '../../../src/ebs/tags.ts';
import { holdVolume } from '../../../src/volumes/requests/hold.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { FakeJournal, type FakeNode, fakeNode, verbs } from '../../support/fake-node.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const target = '/ebs/volumes/a';

/** A node whose volume "a" is mounted for one holder. */
async function bench(id?: string) {
  const ec2 = new FakeEc2();
  const node = await fakeNode(ec2);
  const { create, mount } = verbs(node);
  await create('a');
  await mount('a', id);
  ec2.calls.length = 0;
  const volume = ec2.volumes.get('vol-1');
  const attachment = volume?.attachments[0];
  if (volume === undefined || attachment === undefined) throw new Error('not attached');
  return { ec2, node, host: node.machine.host, volume, attachment };
}
/** The daemon killed and started again on the same machine. */
function restarted(ec2: FakeEc2, node: FakeNode): Promise<FakeNode> {
  node.kill();
  return fakeNode(ec2, node.machine);
}

describe('a disk image of an instance, started as another', () => {
  it("brings its journal along, and nothing of the original's is touched", async () => {
    const { node, ec2, attachment } = await bench('id-1');
    node.host.mountedElsewhere.add('vol-1');
    const journal = new FakeJournal();
    for (const [name, held] of node.journal.records) journal.records.set(name, structuredClone(held));
    const copy = await fakeNode(ec2, { instanceId: 'i-2', journal });
    await pass(60_000);
    expect([copy.held.size, journal.records.size]).toEqual([0, 0]);
    expect([ec2.count('detachVolume'), ec2.count('createTags')]).toEqual([0, 0]);
    expect(attachment).toMatchObject({ instanceId: 'i-1', state: 'attached' });
  });
});

describe('who this instance is', () => {
  it('is remembered within a boot, and asked anew when the setting is corrected', async () => {
    const ec2 = new FakeEc2();
    const wrong = await fakeNode(ec2, { instanceId: 'i-1', settings: { instanceId: 'i-1' } });
    wrong.kill();
    const still = await fakeNode(ec2, { ...wrong.machine, instanceId: 'i-2', settings: { instanceId: 'i-1' } });
    expect(still.instanceId).toBe('i-1');
    still.kill();
    const right = await fakeNode(ec2, { ...wrong.machine, instanceId: 'i-2', settings: { instanceId: 'i-2' } });
    expect(right.instanceId).toBe('i-2');
  });
});

describe('a restart of the daemon', () => {
  it('goes on with what is mounted, and its holders', async () => {
    const { node, ec2, volume } = await bench('id-1');
    node.host.mountedElsewhere.add('vol-1');
    const again = await restarted(ec2, node);
    expect(again.held.get('a')).toMatchObject({
      phase: 'mounted',
      directory: `${target}/data`,
      holders: [{ id: 'id-1' }],
    });
    await pass(60_000);
    expect(ec2.calls).toEqual([]);
    expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
    expect(await verbs(again).mount('a', 'id-1')).toBe(`${target}/data`);
    expect(again.host.count('mount')).toBe(1);
  });

  it('releases what nobody holds', async () => {
    const { node, ec2, volume } = await bench('id-1');
    await verbs(node).unmount('a', 'id-1');
    const again = await restarted(ec2, node);
    await pass(10_000);
    expect([volume.attachments.length, again.held.size, again.journal.records.size]).toEqual([0, 0, 0]);
  });

  it('mounts again on demand what is recorded as mounted and is not', async () => {
    const { node, ec2 } = await bench();
    node.host.mounted.clear();
    const again = await restarted(ec2, node);
    expect(again.held.get('a')).toMatchObject({ phase: 'attached', directory: undefined, holders: [{ id: null }] });
    expect(await verbs(again).mount('a', 'id-1')).toBe(`${target}/data`);
    expect(ec2.count('attachVolume')).toBe(0);
  });

  it('finishes a release that was cut short at any step', async () => {
    const seen = new Set<string>();
    for (let cut = 0; cut < 60; cut++) {
      const { node, ec2, volume } = await bench('id-1');
      await verbs(node).unmount('a', 'id-1');
      await pass(1900 + cut * 50);
      seen.add(node.journal.records.get('a')?.phase ?? 'gone');
      await restarted(ec2, node);
      await pass(20_000);
      expect([volume.state, node.journal.records.size]).toEqual(['available', 0]);
      expect(ec2.volumes.size).toBe(1);
    }
    expect(seen).toEqual(new Set(['attached', 'detaching', 'gone']));
  });

  it('settles an attach that was cut short: nothing stays attached that nobody asked for', async () => {
    for (const cut of [0, 50, 500, 1500, 1950]) {
      const ec2 = new FakeEc2();
      const node = await fakeNode(ec2);
      await verbs(node).create('a');
      node.queue.run('a', () => holdVolume(node, 'a', 'id-1', undefined)).catch(() => undefined);
      await pass(cut);
      expect(node.journal.records.get('a')).toMatchObject({ phase: 'attaching' });
      const again = await restarted(ec2, node);
      await pass(20_000);
      expect(ec2.volumes.get('vol-1')).toMatchObject({ state: 'available', attachments: [] });
      expect([again.held.size, again.journal.records.size]).toEqual([0, 0]);
    }
  });
});

describe('a reboot', () => {
  it('what was attached is released, never mounted, and attached anew on demand', async () => {
    const { node, ec2, host, volume, attachment } = await bench('id-1');
    host.reboot();
    const mounts = host.count('mount');
    const again = await restarted(ec2, node);
    expect(again.held.get('a')).toMatchObject({ phase: 'detaching', holders: [] });
    expect(await verbs(again).mount('a', 'id-1')).toBe(`${target}/data`);
    expect(host.count('mount')).toBe(mounts + 1);
    expect(ec2.calls.filter(({ method }) => method.endsWith('achVolume')).map(({ method }) => method)).toEqual([
      'detachVolume',
      'attachVolume',
    ]);
    expect(volume.attachments[0]?.device).not.toBe(attachment.device);
    expect(again.held.get('a')?.bootId).toBe(host.bootId);
  });

  it('what another program uses by then is neither detached nor declared finished', async () => {
    const { node, ec2, host, volume } = await bench('id-1');
    host.reboot();
    host.mountedElsewhere.add('vol-1');
    const again = await restarted(ec2, node);
    await pass(30_000);
    expect(volume.attachments).toMatchObject([{ instanceId: 'i-1', state: 'attached' }]);
    expect(volume.tags).not.toHaveProperty([tagKeys.clean]);
    expect(again.waits.get('a')).toContain('process 42 (of vol-1) still has vol-1 mounted');
  });

  it('what nobody asks for is released all the same, declared finished', async () => {
    const { node, ec2, volume, attachment } = await bench('id-1');
    node.host.reboot();
    const again = await restarted(ec2, node);
    await pass(20_000);
    expect(volume).toMatchObject({
      state: 'available',
      tags: { [tagKeys.clean]: cleanMark({ ...attachment, instanceId: 'i-1' }) },
    });
    expect([again.held.size, again.host.mounted.size]).toEqual([0, 0]);
  });

  it('what another node has taken over meanwhile is left alone', async () => {
    const { node, ec2, volume, attachment, host } = await bench('id-1');
    host.reboot();
    node.kill();
    ec2.endAttachment(volume, attachment);
    ec2.addInstance('i-2');
    const theirs = ec2.addAttachment(volume, 'i-2', attachment.device);
    const again = await restarted(ec2, node);
    await pass(20_000);
    expect(volume.attachments).toEqual([theirs]);
    expect(again.held.size).toBe(0);
  });
});
