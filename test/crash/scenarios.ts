import { existsSync } from 'node:fs';
import { rm, rmdir, writeFile } from 'node:fs/promises';
import {
  DescribeInstancesCommand,
  RunInstancesCommand,
  StopInstancesCommand,
  TerminateInstancesCommand,
} from '@aws-sdk/client-ec2';
import { attempt } from '../../src/sandbox/command.ts';
import { eventually } from '../support/sandbox.ts';
import { absent, Bench, heldBy, released, retained, type State } from './bench.ts';
import {
  anyOf,
  checkData,
  create,
  createAgain,
  id,
  inUse,
  leave,
  mount,
  otherId,
  remove,
  restart,
  serves,
  unmount,
  withData,
} from './calls.ts';

/** What a caller does, up to and with what follows from it; a crash may strike anywhere in between. */
export interface Scenario {
  readonly title: string;
  /** Part of the sweep that runs with the other tests; all run in the full one. */
  readonly main: boolean;
  /** Only the points that match, one for each state, where the rest is as in another scenario. */
  readonly only?: RegExp;
  /** Before it. */
  prepare(bench: Bench, name: string): Promise<void>;
  /** What else its steps are about, beside the name and its volumes. */
  also?(bench: Bench, name: string): Promise<readonly string[]>;
  /** The call, which may break. Run again after the restart, it must succeed. */
  act(bench: Bench, name: string): Promise<void>;
  /** The state that all comes to when nothing breaks. */
  readonly end: (state: State, bench: Bench) => boolean;
  /** How long it may take to come to it, where that is long. */
  readonly withinMs?: number;
  /** The states that a restarted daemon may come to by itself, when the caller does not come again. */
  readonly rest: (state: State, bench: Bench) => boolean;
  /** After it, the volume as nobody had died. */
  after(bench: Bench, name: string): Promise<void>;
}

const mounted: Pick<Scenario, 'act' | 'end' | 'rest'> = {
  act: (bench, name) => mount(bench, name, id),
  end: heldBy(id),
  // Docker's retry comes with the same id: until then the daemon cannot know that nobody was told.
  rest: anyOf(released, heldBy(id)),
};

export const scenarios: readonly Scenario[] = [
  {
    title: 'create',
    main: true,
    prepare: async () => undefined,
    act: create,
    end: released,
    rest: anyOf(absent, released),
    after: (bench, name) => mount(bench, name, id).then(() => leave(bench, name)),
  },
  {
    title: 'first mount',
    main: true,
    ...mounted,
    prepare: create,
    after: leave,
  },
  ...['xfs', 'btrfs'].map((fsType) => ({
    title: `first mount, ${fsType}`,
    main: false,
    only: /mkfs|makeFilesystem|createTags|mount/,
    ...mounted,
    prepare: async (bench: Bench, name: string) => void (await bench.ok('Create', { Name: name, Opts: { fsType } })),
    after: leave,
  })),
  {
    title: 'mount of a volume with data',
    main: true,
    ...mounted,
    prepare: withData,
    after: (bench, name) => checkData(bench, name).then(() => leave(bench, name)),
  },
  {
    title: 'last unmount and release',
    main: true,
    prepare: inUse,
    act: (bench, name) => unmount(bench, name, id),
    end: released,
    rest: anyOf(released, heldBy(id)),
    after: serves,
  },
  {
    title: 'mount again in the linger',
    main: false,
    prepare: inUse,
    act: async (bench, name) => {
      await unmount(bench, name, id);
      await mount(bench, name, otherId);
    },
    end: heldBy(otherId),
    rest: anyOf(heldBy(id), heldBy(otherId), released),
    after: async (bench, name) => {
      await checkData(bench, name);
      await unmount(bench, name, otherId);
      await bench.reaches(name, released);
    },
  },
  {
    title: 'remove in the linger',
    main: true,
    prepare: inUse,
    act: async (bench, name) => {
      await unmount(bench, name, id);
      await remove(bench, name);
    },
    end: absent,
    rest: anyOf(heldBy(id), released, absent),
    after: createAgain,
  },
  {
    title: 'remove',
    main: false,
    prepare: create,
    act: remove,
    end: absent,
    rest: anyOf(released, absent),
    after: createAgain,
  },
  {
    title: 'start with a live mount',
    main: false,
    prepare: inUse,
    act: (bench) => restart(bench),
    end: heldBy(id),
    rest: heldBy(id),
    after: (bench, name) => checkData(bench, name).then(() => leave(bench, name)),
  },
  {
    title: 'start without the record of a live mount',
    main: true,
    prepare: inUse,
    act: (bench, name) => restart(bench, () => rm(bench.recordFile(name), { force: true })),
    end: heldBy('adopted'),
    rest: heldBy('adopted'),
    after: async (bench, name) => {
      await checkData(bench, name);
      await unmount(bench, name);
      await bench.reaches(name, released);
    },
  },
  {
    title: 'start without the record of a disk that is not mounted',
    main: false,
    prepare: inUse,
    act: (bench, name) =>
      restart(bench, async () => {
        await attempt('umount', bench.target(name));
        await rmdir(bench.target(name)).catch(() => undefined);
        await rm(bench.recordFile(name), { force: true });
      }),
    end: released,
    rest: released,
    after: serves,
  },
  {
    title: 'start after a reboot',
    main: false,
    prepare: inUse,
    act: (bench, name) =>
      restart(bench, async () => {
        const record = await bench.record(name);
        if (record === undefined) return;
        await attempt('umount', bench.target(name));
        await writeFile(bench.recordFile(name), JSON.stringify({ ...record, version: 1, bootId: 'an earlier one' }));
      }),
    end: released,
    rest: released,
    after: serves,
  },
];

/** Removing where the settings say what becomes of the EBS volume. */
export const removals: Readonly<Record<'snapshot' | 'retain', Scenario>> = {
  snapshot: {
    title: 'remove with a snapshot',
    main: true,
    prepare: create,
    act: remove,
    end: absent,
    rest: anyOf(released, absent),
    // The steps until the name is off are those of a removal that retains.
    only: /^ec2\.(deleteTags|createSnapshot|deleteVolume):/,
    // Twice in a row it waits until reads can lag no more.
    withinMs: 120_000,
    after: async (bench, name) => {
      const { Snapshots } = (await bench.box.aws(
        'describe-snapshots',
        '--filters',
        `Name=tag:Name,Values=${name}`,
      )) as {
        Snapshots: { SnapshotId: string }[];
      };
      if (Snapshots.length !== 1) throw new Error(`there are ${Snapshots.length} snapshots of it`);
      await createAgain(bench, name);
    },
  },
  retain: {
    title: 'remove and retain',
    main: true,
    prepare: create,
    act: remove,
    end: retained,
    rest: anyOf((state) => released(state) && state.named.length === 1, retained),
    after: async (bench, name) => {
      await create(bench, name);
      await bench.reaches(name, ({ volumes, named }) => volumes.length === 2 && named.length === 1);
    },
  },
};

const owners = new Map<string, string>();

/** Another instance with the volume mounted has stopped all at once. */
async function ownerStops({ box }: Bench, name: string): Promise<void> {
  const { Instances: [made] = [] } = await box.ec2.send(
    new RunInstancesCommand({ MinCount: 1, MaxCount: 1, InstanceType: 'm5.large', ImageId: 'ami-0123456789abcdef0' }),
  );
  const owner = made?.InstanceId ?? '';
  owners.set(name, owner);
  await eventually(async () => box.sandbox.nodes().some(({ instanceId, pid }) => instanceId === owner && pid !== 0));
  const other = new Bench(box, owner);
  await eventually(async () => existsSync(box.node(owner).socket));
  await inUse(other, name);
  await box.ec2.send(new StopInstancesCommand({ InstanceIds: [owner], Force: true }));
  await eventually(async () => {
    const { Reservations = [] } = await box.ec2.send(new DescribeInstancesCommand({ InstanceIds: [owner] }));
    return Reservations[0]?.Instances?.[0]?.State?.Name === 'stopped';
  });
}

const ownedByOther = ({ attachments, record, mounted, directory }: State, { instanceId }: Bench): boolean =>
  attachments.length === 1 && attachments[0]?.startsWith(instanceId) === false && !record && !mounted && !directory;

export const takeover: Scenario = {
  title: 'takeover from a stopped instance',
  main: false,
  only: /etachVolume|attachVolume|createTags|journal|host.mount/,
  prepare: ownerStops,
  ...mounted,
  rest: anyOf(ownedByOther, released, heldBy(id)),
  after: async (bench, name) => {
    await checkData(bench, name);
    await leave(bench, name);
    await bench.box.ec2.send(new TerminateInstancesCommand({ InstanceIds: [owners.get(name) ?? ''] }));
  },
};
