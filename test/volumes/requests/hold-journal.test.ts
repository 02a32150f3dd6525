import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, target } from './hold-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('a journal that cannot be written', () => {
  it('before an attach: nothing is asked of EC2', async () => {
    const { mount, ec2, journal, node, volume } = await bench();
    journal.isFull = ({ op }) => op !== 'forget';
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'JOURNAL_FAILED' });
    expect(ec2.count('attachVolume')).toBe(0);
    expect([volume.attachments.length, node.held.size]).toEqual([0, 0]);
    journal.isFull = () => false;
    expect(await mount('a', 'id-1')).toBe(`${target}/data`);
  });

  it('after an attach: the caller is told, and nothing stays attached', async () => {
    const { mount, volume, journal, node } = await bench();
    journal.isFull = ({ op, held }) => op === 'save' && held?.attachTime !== undefined;
    expect(await failure(mount('a', 'id-1'))).toMatchObject({ code: 'JOURNAL_FAILED' });
    journal.isFull = () => false;
    await pass(30_000);
    expect([volume.attachments.length, node.held.size, journal.records.size]).toEqual([0, 0, 0]);
  });

  it('before an unmount: it stays mounted', async () => {
    const { mount, unmount, host, journal, holders } = await bench();
    await mount('a', 'id-1');
    journal.isFull = () => true;
    expect(await failure(unmount('a', 'id-1'))).toMatchObject({ code: 'JOURNAL_FAILED' });
    expect(host.mounted.has(target)).toBe(true);
    expect(holders()).toEqual(['id-1']);
  });

  it('does not matter to an unmount that changes nothing', async () => {
    const { mount, unmount, journal, holders } = await bench();
    await mount('a', 'id-1');
    journal.isFull = () => true;
    await unmount('a', 'never-mounted');
    expect(holders()).toEqual(['id-1']);
  });

  it('before a detach: no tag, no detach, and again later', async () => {
    const { mount, unmount, ec2, journal, volume } = await bench();
    await mount('a', 'id-1');
    await unmount('a', 'id-1');
    journal.isFull = ({ held }) => held?.phase === 'detaching';
    await pass(20_000);
    expect(ec2.count('detachVolume')).toBe(0);
    expect(volume.tags).not.toHaveProperty([tagKeys.clean]);
    journal.isFull = () => false;
    await pass(20_000);
    expect(volume.attachments).toEqual([]);
  });

  it('does not matter to a holder that asks again', async () => {
    const { mount, journal } = await bench();
    await mount('a', 'id-1');
    journal.isFull = () => true;
    expect(await mount('a', 'id-1')).toBe(`${target}/data`);
  });

  it('for a second holder: the first stays, the second is none', async () => {
    const { mount, journal, holders } = await bench();
    await mount('a', 'id-1');
    journal.isFull = () => true;
    expect(await failure(mount('a', 'id-2'))).toMatchObject({ code: 'JOURNAL_FAILED' });
    expect(holders()).toEqual(['id-1']);
  });
});
