import { beforeEach, describe, expect, it, vi } from 'vitest';
import { failure, pass, useVirtualTime } from '../../support/virtual-time.ts';
import { bench, target } from './hold-bench.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

describe('a caller that has gone', () => {
  it('holds nothing; the volume is brought here, kept a while for the next try, then released', async () => {
    const { mount, ec2, node, volume } = await bench();
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 500);
    expect(await failure(mount('a', 'id-1', caller.signal))).toMatchObject({ code: 'STILL_WORKING' });
    expect(node.held.get('a')).toMatchObject({ phase: 'mounted', holders: [] });
    await pass(25_000);
    expect(volume.attachments).toMatchObject([{ state: 'attached' }]);
    await pass(30_000);
    expect(volume).toMatchObject({ state: 'available', attachments: [] });
    expect(ec2.count('attachVolume')).toBe(1);
    expect(node.held.size).toBe(0);
  });

  it('and says Unmount, as Mesos does, has it released at once', async () => {
    const { mount, unmount, volume, node } = await bench();
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 500);
    await failure(mount('a', undefined, caller.signal));
    await unmount('a');
    await pass(6000);
    expect([volume.attachments, node.held.size]).toEqual([[], 0]);
  });

  it('does not keep an attach that came to nothing', async () => {
    const { mount, ec2, volume } = await bench({ settings: { attachTimeout: 20 } });
    ec2.neverPlugged.add('vol-1');
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 500);
    await failure(mount('a', 'id-1', caller.signal));
    await pass(10_000);
    expect(volume.attachments).toEqual([]);
  });

  it('and comes back finds it there', async () => {
    const { mount, ec2, holders, container } = await bench();
    const caller = new AbortController();
    setTimeout(() => caller.abort(), 500);
    await failure(mount('a', 'id-1', caller.signal));
    ec2.calls.length = 0;
    expect(await mount('a', 'id-2')).toBe(`${target}/data`);
    container.start();
    await pass(60_000);
    expect(holders()).toEqual(['id-2']);
    expect(ec2.calls).toEqual([]);
  });

  it('takes nothing from those who hold it', async () => {
    const { mount, holders, host, container } = await bench();
    await mount('a', 'id-1');
    container.start();
    expect(await failure(mount('a', 'id-2', AbortSignal.abort()))).toMatchObject({ code: 'STILL_WORKING' });
    await pass(60_000);
    expect(holders()).toEqual(['id-1']);
    expect(host.mounted.has(target)).toBe(true);
  });
});
