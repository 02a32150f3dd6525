import { describe, expect, it } from 'vitest';
import { statusLines } from '../../src/cli/status/view.ts';
import { nothingCounted } from '../../src/fencing/audit.ts';
import type { NodeStatus, NodeVolume } from '../../src/volumes/types.ts';

const now = Date.parse('2026-01-21T09:00:00Z');
const ago = (seconds: number) => new Date(now - seconds * 1000).toISOString();
const gib = 2 ** 30;

const identity = { instanceId: 'i-1', zone: 'eu-west-1a', cluster: 'shop', fencePolicy: 'never', version: '1.2.3' };
const node: NodeStatus = {
  node: identity,
  since: ago(3 * 86_400),
  unready: undefined,
  reserveUsedSince: undefined,
  draining: undefined,
  paused: undefined,
  slots: { used: 3, limit: 27 },
  foreign: [],
  volumes: [],
  takeovers: [],
  fencesDone: nothingCounted(),
  ec2: { answeredAt: undefined, answeredSecondsAgo: undefined, failing: undefined },
  ghosts: [],
  impaired: undefined,
  verifications: [],
  notices: [],
};

const pgdata: NodeVolume = {
  name: 'pgdata',
  volumeId: 'vol-1',
  phase: 'mounted',
  device: '/dev/xvdba',
  mountpoint: '/ebs/volumes/pgdata/data',
  holders: [{ id: '3f2a9c0b1d4e5f60718293a4b5c6d7e8', since: ago(60) }],
  since: ago(90_061),
  waitingFor: undefined,
  rescue: undefined,
  users: [],
  ghost: false,
  fault: undefined,
  size: { diskBytes: 2 ** 34, filesystemBytes: 2 ** 34, refused: undefined },
  proof: undefined,
  autoGrow: undefined,
  snapshots: undefined,
  usage: { bytes: { total: 16 * gib, used: 4 * gib, available: 11 * gib }, inodes: { total: 1000, used: 10 } },
};
const unmounted: NodeVolume = { ...pgdata, device: '/dev/xvdbb', mountpoint: undefined, holders: [], usage: undefined };

const lines = (change: Partial<NodeStatus>, names: readonly string[] = [], width?: number) =>
  statusLines({ ...node, ...change }, { names, width, now });

describe('the status for people', () => {
  it('is a line for the node, and one for each volume', () => {
    const waiting = {
      ...unmounted,
      name: 'logs',
      volumeId: undefined,
      phase: 'waiting',
      device: undefined,
      since: ago(12),
    } as const;
    const wait = 'step 1 of 3 of takeover f-1: a second look (within 5 s)';
    const volumes = [
      { ...waiting, waitingFor: wait },
      pgdata,
      { ...unmounted, name: 'web', volumeId: 'vol-3', phase: 'attached', since: ago(1) } as const,
    ];
    expect(lines({ volumes })).toEqual([
      'node i-1 in eu-west-1a, cluster shop, fence policy never, disk slots 3 of 27, daemon 1.2.3 up 3d',
      '',
      'NAME    VOLUME  STATE      DEVICE      USED              HOLDERS           FOR',
      'logs    -       waiting    -           -                 -                 12s',
      `    waits for ${wait}`,
      'pgdata  vol-1   mounted    /dev/xvdba  4 / 16 GiB (27%)  1 (3f2a9c0b1d4e)  1d 1h',
      'web     vol-3   lingering  /dev/xvdbb  -                 -                 1s',
    ]);
  });

  it('says what is wrong in capitals', () => {
    const text = lines({
      node: { ...identity, instanceId: undefined },
      slots: { used: 1, limit: undefined },
      unready: 'IMDS is silent',
      reserveUsedSince: '2026-01-02T03:04:05Z',
      draining: { reason: 'kernel update', by: 'operator', since: ago(60) },
      paused: { reason: 'network', seenAt: ago(240) },
      notices: ['EC2 will stop this instance'],
      volumes: [
        { ...pgdata, ghost: true },
        { ...pgdata, name: 'web', fault: 'the kernel has shut its filesystem down' },
      ],
    });
    expect(text).toEqual(
      expect.arrayContaining([
        expect.stringMatching(/^node an instance not known yet, .* disk slots 1, /),
        'NOT READY: IMDS is silent',
        expect.stringMatching(/^DISK FULL since 2026-01-02T03:04:05Z: .*free space where DVE_ROOT is$/),
        expect.stringMatching(/^DRAINING since .*: kernel update \(no new mounts; docker-volume-ebs drain --cancel/),
        'FENCING PAUSED, as seen 4m ago: network',
        'NOTICE: EC2 will stop this instance',
        expect.stringMatching(/^pgdata +vol-1 +GHOST /),
        expect.stringContaining('must be restarted'),
        expect.stringMatching(/^web +vol-1 +FAILED /),
        expect.stringContaining('has shut its filesystem down: stop all containers'),
      ]),
    );
  });

  it('does not take for lingering what is held, or cannot be released', () => {
    const attached = { ...unmounted, phase: 'attached' } as const;
    const held = { ...attached, holders: pgdata.holders };
    const stuck = { ...attached, waitingFor: 'process 42 (postgres) still has it mounted' };
    for (const volume of [held, stuck]) expect(lines({ volumes: [volume] })[3]).toMatch(/ attached /);
  });

  it('tells of full and of silent filesystems', () => {
    const full = { bytes: { total: 100, used: 95, available: 0 }, inodes: { total: 100, used: 95 } };
    const [, above, , , first, second] = lines({ volumes: [{ ...pgdata, usage: full }] });
    expect(above).toBe('NEARLY FULL: the filesystem of pgdata is 100% full');
    expect(first).toContain('95 / 100 B (100%)');
    expect(second).toBe('    95% of its inodes are used');
    const btrfs = { ...full, inodes: { total: 0, used: 0 } };
    expect(lines({ volumes: [{ ...pgdata, usage: btrfs }] })).toHaveLength(5);
    expect(lines({ volumes: [{ ...unmounted, phase: 'mounted' }] })[3]).toContain('not known');
  });

  it('tells above the table what no table shows', () => {
    const at = '2026-01-20T10:00:00Z';
    const failing = { since: at, code: 'EC2_CREDENTIALS', why: 'AuthFailure: no such key' } as const;
    const text = lines({
      ec2: { ...node.ec2, failing },
      impaired: ['its system check, since then'],
      ghosts: [{ name: 'logs', volumeId: 'vol-9', at, users: ['container 3f2a9c0b1d4e (process 4711, postgres)'] }],
      volumes: [{ ...pgdata, usage: { bytes: { total: 100, used: 97, available: 2 }, inodes: { total: 9, used: 1 } } }],
    });
    const table = text.findIndex((line) => line.startsWith('NAME'));
    for (const told of [
      `EC2 REFUSES THE CREDENTIALS since ${at}: AuthFailure: no such key`,
      'IMPAIRED: EC2 shows this instance as impaired: its system check, since then',
      `GHOST: the disk of logs (vol-9) went from this machine at ${at}; restart container 3f2a9c0b1d4e (process 4711, postgres), then docker-volume-ebs status --acknowledge`,
      'NEARLY FULL: the filesystem of pgdata is 98% full',
    ]) {
      expect(text.indexOf(told)).toBeGreaterThan(0);
      expect(text.indexOf(told)).toBeLessThan(table);
    }
  });

  it('shows holders as containers where they are seen', () => {
    const users = ['container 3f2a9c0b1d4e of ECS task 0123456789abcdef0123456789abcdef (process 4711, postgres)'];
    const [, , , row, below] = lines({ volumes: [{ ...pgdata, users }] });
    expect(row).toContain('1 (3f2a9c0b1d4e)');
    expect(below).toBe(`    used by ${users[0]}`);
  });

  it('names two holders, and says how many there are', () => {
    const holders = ['a', 'anonymous', 'c'].map((id) => ({ id, since: ago(1) }));
    expect(lines({ volumes: [{ ...pgdata, holders }] })[3]).toContain('3 (a, anonymous, …)');
  });

  it('ends with takeovers under way and what fencing has done', () => {
    const takeovers = [
      { fenceId: 'f-1', volume: 'logs', volumeId: 'vol-2', instanceId: 'i-2', device: '/dev/xvdbq', since: ago(12) },
    ];
    const fencesDone = { ...node.fencesDone, decisions: { 'never - refuse': 2 } };
    expect(lines({ takeovers, fencesDone }).slice(-4)).toEqual([
      'No volume is held on this node.',
      '',
      'takeover f-1 of logs (vol-2 on i-2, /dev/xvdbq), for 12s',
      expect.stringMatching(/^Fencing since the daemon's start: decided 2 times to refuse \(policy never\)$/),
    ]);
  });

  it('says of a filesystem that does not follow its disk how large both are, and why', () => {
    const size = { diskBytes: 20 * 2 ** 30, filesystemBytes: 16 * 2 ** 30, refused: 'the kernel refuses it' };
    expect(lines({ volumes: [{ ...pgdata, size }] }).join('\n')).toContain(
      'its disk has 20 GiB, its filesystem 16 GiB, and does not grow: the kernel refuses it',
    );
  });

  it('shows only the names that are asked for, and says which are not here', () => {
    const volumes = [pgdata, { ...pgdata, name: 'web' }];
    const text = lines({ volumes }, ['web', 'other']).join('\n');
    expect(text).toMatch(/^web /m);
    expect(text).not.toMatch(/^pgdata /m);
    expect(text).toContain('other: not held on this node');
  });

  it('fits a narrow terminal: identifiers and states stay whole', () => {
    const volume = { ...pgdata, name: `${'long-'.repeat(12)}17`, volumeId: 'vol-0123456789abcdef0' };
    const text = lines({ volumes: [{ ...volume, waitingFor: 'another try '.repeat(12) }] }, [], 60);
    for (const line of text) expect(line.length).toBeLessThanOrEqual(60);
    expect(text.join('\n')).toMatch(/long-l?.*….*17 +vol-0123456789abcdef0 +mounted/);
  });
});
