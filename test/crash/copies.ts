import { writeFile } from 'node:fs/promises';
import { DescribeSnapshotsCommand } from '@aws-sdk/client-ec2';
import { eventually } from '../support/sandbox.ts';
import { absent, type Bench, heldBy, released, retained, type State } from './bench.ts';
import {
  anyOf,
  checkData,
  createAgain,
  id,
  inUse,
  leave,
  mount,
  operator,
  remove,
  serves,
  unmount,
  withData,
} from './calls.ts';
import type { Scenario } from './scenarios.ts';

const isNamed = (state: State): boolean => state.named.length === 1;
const isFree = ({ attachments, record, mounted, directory }: State): boolean =>
  attachments.length === 0 && record === undefined && !mounted && !directory;
const inTrash = (state: State): boolean => retained(state) && isFree(state);
const backAgain = (state: State): boolean => released(state) && isNamed(state);

/** An operator's call that finds done what a call before it, which was cut off, was to do. */
const once = (bench: Bench, endpoint: string, body: object, isDone: RegExp) =>
  operator(bench, endpoint, body).catch((error: unknown) => {
    if (!isDone.test(String(error))) throw error;
  });

async function removable(bench: Bench, name: string): Promise<void> {
  await bench.ok('Create', { Name: name, Opts: { onRemove: 'trash' } });
  await mount(bench, name, id);
  await writeFile(bench.marker(name), name, { flush: true });
  await unmount(bench, name, id);
  await bench.reaches(name, released);
}

async function removed(bench: Bench, name: string): Promise<void> {
  await removable(bench, name);
  await remove(bench, name);
  await bench.reaches(name, inTrash);
}

const undelete = (bench: Bench, name: string) =>
  once(bench, 'Undelete', { name }, /no such volume in the trash|has this name/);

/** What a clone is made from. */
const source = (name: string): string => `of-${name}`;

/** The volumes that were rolled back, by name, as they were before. */
const former = new Map<string, string>();
const rolledBack = (state: State, name: string): boolean => isNamed(state) && state.named[0] !== former.get(name);

async function withSnapshot(bench: Bench, name: string): Promise<void> {
  await withData(bench, name);
  former.set(name, (await bench.state(name)).named[0] ?? '');
  await operator(bench, 'SnapshotTake', { name, snapshot: 'first' });
  await eventually(async () => {
    const Filters = [{ Name: 'volume-id', Values: [former.get(name) ?? ''] }];
    const { Snapshots = [] } = await bench.box.ec2.send(new DescribeSnapshotsCommand({ Filters }));
    return Snapshots[0]?.State === 'completed';
  });
}

async function rollback(bench: Bench, name: string): Promise<void> {
  if (rolledBack(await bench.state(name), name)) return;
  await operator(bench, 'Rollback', { name, snapshot: 'first' });
}

/** A write that is synced comes to its end: nothing is frozen. */
async function writes(bench: Bench, name: string): Promise<void> {
  await writeFile(bench.marker(name), name, { flush: true, signal: AbortSignal.timeout(20_000) });
}

export const copies: readonly Scenario[] = [
  {
    title: 'snapshot of a volume in use',
    main: true,
    only: /reeze|thaw|createSnapshot|createTags|journal/,
    prepare: inUse,
    act: async (bench, name) => {
      await writes(bench, name);
      await once(bench, 'SnapshotTake', { name, snapshot: 'first' }, /it has one of the name/);
      await writes(bench, name);
    },
    end: heldBy(id),
    rest: heldBy(id),
    after: async (bench, name) => {
      await writes(bench, name);
      await checkData(bench, name);
      await leave(bench, name);
    },
  },
  {
    title: 'create from another volume',
    main: false,
    prepare: (bench, name) => withData(bench, source(name)),
    act: async (bench, name) => void (await bench.ok('Create', { Name: name, Opts: { from: source(name) } })),
    end: released,
    rest: anyOf(absent, released),
    after: async (bench, name) => {
      await mount(bench, name, id);
      await checkData(bench, name, source(name));
      await leave(bench, name);
      await remove(bench, source(name));
    },
  },
  {
    title: 'remove into the trash',
    main: false,
    prepare: removable,
    act: remove,
    end: retained,
    rest: anyOf(backAgain, retained),
    after: async (bench, name) => {
      await bench.reaches(name, inTrash);
      await undelete(bench, name);
      await bench.reaches(name, backAgain);
      await serves(bench, name);
    },
  },
  {
    title: 'undelete',
    main: false,
    prepare: removed,
    act: undelete,
    end: backAgain,
    rest: anyOf(inTrash, backAgain),
    after: serves,
  },
  {
    title: 'purge',
    main: false,
    prepare: removed,
    act: (bench, name) => once(bench, 'TrashPurge', { which: [name] }, /no such volume in the trash/),
    end: absent,
    rest: anyOf(inTrash, absent),
    after: createAgain,
  },
  {
    title: 'rollback',
    main: true,
    only: /createTags|deleteTags|createVolume|deleteVolume|etachVolume|attachVolume|journal/,
    prepare: withSnapshot,
    act: rollback,
    end: (state) => isNamed(state) && isFree(state) && state.volumes.length > 1,
    rest: (state) => isNamed(state) && isFree(state),
    after: async (bench, name) => {
      const { named, volumes } = await bench.state(name);
      if (named[0] === former.get(name) || !volumes.includes(former.get(name) ?? ''))
        throw new Error(`it is ${named} of ${volumes}, and was ${former.get(name)}`);
      await mount(bench, name, id);
      await checkData(bench, name);
      await unmount(bench, name, id);
      await bench.reaches(name, isFree);
    },
  },
];
