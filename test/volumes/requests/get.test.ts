import { describe, expect, it } from 'vitest';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { heldInfo, remoteInfo } from '../../../src/volumes/requests/get.ts';
import { attachmentWith, volumeWith } from '../../support/fake-volume.ts';

describe('what get shows', () => {
  it('of a volume held here: its directory, holders and what it waits for', () => {
    const info = heldInfo(
      {
        name: 'a',
        volume: volumeWith(),
        phase: 'mounted',
        instanceId: 'i-1',
        device: '/dev/xvdba',
        attachTime: 'then',
        bootId: 'b',
        filesystem: 'ext4',
        directory: '/ebs/volumes/a/data',
        holders: [
          { id: null, since: 't0' },
          { id: 'abc', since: 't1' },
        ],
      },
      'i-1',
      'a check',
    );
    expect(info).toMatchObject({ name: 'a', mountpoint: '/ebs/volumes/a/data', createdAt: '2026-01-01T00:00:00.000Z' });
    expect(info.status).toMatchObject({
      state: 'mounted',
      owner: 'i-1',
      device: '/dev/xvdba',
      filesystem: 'ext4',
      holders: [
        { id: 'anonymous', since: 't0' },
        { id: 'abc', since: 't1' },
      ],
      waitingFor: 'a check',
    });
    expect(JSON.parse(JSON.stringify(info.status))).toEqual(info.status);
  });

  it('of a volume elsewhere: its owner, and never a mountpoint', () => {
    const volume = volumeWith({ attachments: [attachmentWith()], tags: { [tagKeys.formatted]: 'xfs' } });
    const info = remoteInfo('a', volume, undefined, 'since noon');
    expect(info.mountpoint).toBeUndefined();
    expect(info.status).toMatchObject({ state: 'attached', owner: 'i-a', filesystem: 'xfs', stale: 'since noon' });
    expect(info.status).not.toHaveProperty('waitingFor');
  });

  it('of a free volume: the state of EC2', () => {
    const { status } = remoteInfo('a', volumeWith(), 'something');
    expect(status).toMatchObject({ state: 'available', volumeId: 'vol-1', sizeGiB: 16, waitingFor: 'something' });
    expect(status).not.toHaveProperty('owner');
    expect(Object.values(status)).not.toContain(undefined);
  });

  it('how a volume grows by itself, as it was asked for', () => {
    const tags = { [tagKeys.autoGrow]: '80%', [tagKeys.autoGrowMax]: '500' };
    const { status } = remoteInfo('a', volumeWith({ tags }), undefined);
    expect(status).toMatchObject({ autoGrow: '80%', autoGrowMax: '500' });
    expect(status).not.toHaveProperty('autoGrowBy');
  });

  it('of a volume that EC2 still lists under an attachment that is over: it is free', () => {
    const volume = volumeWith({ attachments: [attachmentWith({ state: 'detached' })] });
    const { status } = remoteInfo('a', volume, undefined);
    expect(status).toMatchObject({ state: 'available' });
    expect(status).not.toHaveProperty('owner');
  });
});
