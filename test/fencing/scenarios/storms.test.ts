import { beforeEach, describe, expect, it, vi } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { fenceLogTag } from '../../../src/fencing/records.ts';
import { failureWithin, within } from '../../support/fake-takeover.ts';
import { fleet, ownedBy } from '../../support/fleet.ts';
import { pass, useVirtualTime } from '../../support/virtual-time.ts';

vi.mock('node:timers/promises', () => import('../../support/virtual-time.ts'));

beforeEach(useVirtualTime);

const names = Array.from({ length: 12 }, (_, n) => `v${n}`);

describe('many volumes of one dead owner', () => {
  it('55 that is terminated come over with no detach sent, in a few calls each, once EC2 has let go', async () => {
    const all = await fleet({ others: ['i-b'] });
    for (const name of names) await all.hold('i-a', name);
    all.terminate('i-a');
    all.ec2.calls.length = 0;
    const mounting = Promise.all(names.map((name) => all.mount('i-b', 'task', name)));
    await pass(2000);
    for (const volume of all.ec2.volumes.values()) {
      for (const each of volume.attachments) if (each.instanceId === 'i-a') all.ec2.endAttachment(volume, each);
    }
    await within(60_000, mounting);
    expect(all.destructive()).toEqual([]);
    expect(all.ec2.calls.length / names.length).toBeLessThanOrEqual(9);
    expect(all.nodeOf('i-b').host.mounted.size).toBe(names.length);
  });

  it('55 that is suspect: two takeovers of a node stop it at most, the others find it stopped', async () => {
    const all = await fleet({ policy: 'stonith', others: ['i-b'] });
    for (const name of names) await all.hold('i-a', name);
    await pass(660_000);
    all.impair('i-a');
    all.hideStopping();
    all.ec2.calls.length = 0;
    await within(400_000, Promise.all(names.map((name) => all.mount('i-b', 'task', name))));
    const stops = all.destructive().filter((call) => call.startsWith('stop'));
    expect(stops.length).toBeGreaterThan(0);
    expect(stops.length).toBeLessThanOrEqual(2);
    expect(all.destructive().filter((call) => call.startsWith('detach i-a'))).toHaveLength(names.length);
    expect(all.nodeOf('i-b').host.mounted.size).toBe(names.length);
  });
});

describe('two sick nodes', () => {
  it('56 do not pass a volume to and fro: each keeps it ten minutes, and after three times in an hour nobody is stopped', async () => {
    const all = await fleet({ policy: 'stonith', others: ['i-b'] });
    all.impair('i-a');
    await within(200_000, all.mount('i-b'));
    const impaired = () => {
      all.impair('i-b');
      const since = new Date(Date.now() - 200_000).toISOString();
      const check = { status: 'impaired', impairedSince: since };
      all.ec2.health.set('i-b', { system: check, instance: check });
    };
    all.ec2.health.clear();
    await all.powerOn('i-a');
    await pass(210_000);
    impaired();
    all.ec2.calls.length = 0;
    const taking = all.mount('i-a');
    await pass(200_000);
    expect(all.destructive()).toEqual([]);
    expect(all.nodeOf('i-a').waits.get('data')).toContain('no attachment younger than ten minutes');
    await within(600_000, taking);
    expect(all.destructive().filter((call) => call.startsWith('stop'))).toEqual(['stop i-b']);
    expect(all.state()).toEqual(ownedBy('i-a', 3));
  });

  it('56 and after three times within an hour it stays where it is, and a person is told', async () => {
    const all = await fleet({ policy: 'stonith' });
    all.impair('i-a');
    for (let n = 3; n > 0; n--) {
      const at = new Date(Date.now() - n * 600_000).toISOString();
      const entry = { at, fenceId: `f-${n}`, victim: 'i-c', taker: 'i-a', evidence: 'suspected' } as const;
      all.volume.tags[tagKeys.fenceLog] = fenceLogTag(all.volume.tags, entry);
    }
    const error = await failureWithin(60_000, all.mount('i-b'));
    expect(String(error)).toMatch(/three times within an hour\. Find out why its owners fail; it is taken again after/);
    expect(all.destructive()).toEqual([]);
    expect(all.state()).toEqual(ownedBy('i-a', 1));
  });
});
