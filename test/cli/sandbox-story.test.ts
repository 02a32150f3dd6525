import { describe, expect, it } from 'vitest';
import { letterOf } from '../../src/cli/sandbox/names.ts';
import { whatHappened, whatItDoes } from '../../src/cli/sandbox/story.ts';
import { intentKey, intentTag } from '../../src/fencing/records.ts';
import type { CallRecord } from '../../src/sandbox/calls.ts';
import { type CloudState, emptyState, type InstanceRecord, type VolumeRecord } from '../../src/sandbox/model.ts';

const instance = (id: string, state: InstanceRecord['state'], code?: string): InstanceRecord =>
  ({ id, state, zone: 'us-east-1a', stateReason: code && { code, message: code } }) as InstanceRecord;
const volume = (changes: Partial<VolumeRecord> = {}): VolumeRecord =>
  ({
    id: 'vol-1',
    zone: 'us-east-1a',
    sizeGib: 1,
    attachment: undefined,
    tags: { Name: 'data' },
    ...changes,
  }) as VolumeRecord;
const on = (instanceId: string, state: 'attaching' | 'attached' | 'detaching' | 'busy' = 'attached') => ({
  attachment: {
    instanceId,
    state,
    device: '/dev/xvdba',
    attachTime: '2026-01-01T00:00:00Z',
    deleteOnTermination: false,
  },
});
const both = [instance('i-1', 'running'), instance('i-2', 'running')];
const cloud = (volumes: VolumeRecord[], instances: InstanceRecord[] = both): CloudState => ({
  ...emptyState(),
  volumes,
  instances,
});
const told = (before: CloudState, after: CloudState, docker = false) => whatHappened(before, after, docker);

describe('what happens is told', () => {
  it('of a volume: made, formatted, attached, done with, detached, deleted', () => {
    const formatted = { Name: 'data', 'docker-volume-ebs:filesystem': 'ext4' };
    const steps: [CloudState, CloudState, string[]][] = [
      [cloud([]), cloud([volume()]), ['data is made: vol-1, 1 GiB, in us-east-1a']],
      [cloud([volume()]), cloud([volume(on('i-1', 'attaching'))]), ['data is being attached to A as /dev/xvdba']],
      [cloud([volume(on('i-1', 'attaching'))]), cloud([volume(on('i-1'))]), ['A has data']],
      [cloud([volume()]), cloud([volume({ tags: formatted })]), ['data was blank, and is formatted now: ext4']],
      [
        cloud([volume(on('i-2'))]),
        cloud([volume({ ...on('i-2'), tags: { Name: 'data', 'docker-volume-ebs:clean': 'i-2 /dev/xvdba 2026' } })]),
        ['B is done with data, and promises it by a tag'],
      ],
      [
        cloud([volume(on('i-2'))]),
        cloud([volume({ ...on('i-2'), tags: { Name: 'data', 'docker-volume-ebs:clean': 'i-1 /dev/xvdba 2025' } })]),
        [],
      ],
      [cloud([volume(on('i-1'))]), cloud([volume(on('i-1', 'detaching'))]), ['data is being detached from A']],
      [
        cloud([volume(on('i-1', 'detaching'))]),
        cloud([volume(on('i-1', 'busy'))]),
        ['data does not leave A: something there still uses it'],
      ],
      [cloud([volume(on('i-1', 'detaching'))]), cloud([volume()]), ['data is free']],
      [cloud([volume()]), cloud([volume({ sizeGib: 2 })]), ['data is 2 GiB now']],
      [cloud([volume({ tags: {} })]), cloud([]), ['vol-1 is deleted']],
      [cloud([volume(on('i-1'))]), cloud([volume(on('i-1'))]), []],
    ];
    for (const [before, after, sentences] of steps) expect(told(before, after)).toEqual(sentences);
  });

  it('of an instance, with what its end means for its volumes, and of where Docker talks to', () => {
    const becomes = (state: InstanceRecord['state'], code?: string) =>
      told(cloud([], both), cloud([], [instance('i-1', state, code), both[1]!]), true);
    expect(becomes('stopping')).toEqual(['A (i-1) is stopping', 'Docker on this machine talks to B (i-2) now']);
    expect(becomes('stopped', 'Client.UserInitiatedShutdown')[0]).toBe(
      'A (i-1) is stopped (Client.UserInitiatedShutdown): its volumes can be taken over',
    );
    expect(becomes('stopped', 'Client.UserInitiatedHibernate')[0]).toMatch(/hibernates.* nobody may take its volumes/);
    expect(becomes('terminated')[0]).toBe('A (i-1) is terminated: what it had is free');
    expect(told(cloud([], [both[0]!]), cloud([], [instance('i-1', 'stopped', 'x')]), true)[1]).toBe(
      'Docker on this machine finds no driver until an instance runs',
    );
    expect(told(cloud([], [both[0]!]), cloud([], both))).toEqual(['B (i-2) is launched in us-east-1a']);
  });

  it('of a takeover: who announces it, and whose call takes the disk away', () => {
    const intent = intentTag({
      fenceId: 'f1',
      victim: 'i-1',
      device: '/dev/xvdba',
      attachTime: '2026-01-01T00:00:00Z',
      launchTime: '2026-01-01T00:00:00Z',
      policy: 'stonith',
      evidence: 'stopped-by-force',
    } as Parameters<typeof intentTag>[0]);
    const announced = volume({ ...on('i-1'), tags: { Name: 'data', [intentKey('i-2', 'f1')]: intent } });
    expect(told(cloud([volume(on('i-1'))]), cloud([announced]))).toEqual([
      'B announces by a tag that it will take data',
    ]);
    expect(told(cloud([announced]), cloud([announced]))).toEqual([]);
    const call = (changes: Partial<CallRecord>): CallRecord => ({
      time: '2026-01-01T00:00:00Z',
      action: 'DetachVolume',
      volume: 'vol-1',
      instance: 'i-1',
      caller: 'i-2',
      result: 'OK',
      ...changes,
    });
    const state = cloud([volume(on('i-1', 'detaching'))]);
    expect(whatItDoes(call({}), state)).toBe(
      'it is B that takes data from A: its call names volume, instance and device',
    );
    expect(whatItDoes(call({ action: 'RebootInstances', caller: undefined }), state)).toMatch(/^A reboots: /);
    for (const usual of [
      { caller: 'i-1' },
      { caller: undefined },
      { result: 'IncorrectState' },
      { action: 'AttachVolume' },
    ])
      expect(whatItDoes(call(usual), state)).toBeUndefined();
  });

  it('by letters, while there are enough of them', () => {
    const many = cloud(
      [],
      Array.from({ length: 27 }, (_, index) => instance(`i-${index}`, 'running')),
    );
    expect([letterOf(many, 'i-25'), letterOf(many, 'i-26'), letterOf(many, 'i-unknown')]).toEqual([
      'Z',
      'i-26',
      'i-unknown',
    ]);
  });
});
