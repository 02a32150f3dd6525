import { readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { attempt } from '../../src/sandbox/command.ts';
import { absent, type Bench, heldBy, released, type State } from './bench.ts';

/** What a caller does, up to and with what follows from it; a crash may strike anywhere in between. */
export interface Scenario {
  readonly title: string;
  /** Part of the sweep that runs with the other tests; all run in the full one. */
  readonly main: boolean;
  /** Before it. */
  prepare(bench: Bench, name: string): Promise<void>;
  /** The call, which may break. Run again after the restart, it must succeed. */
  act(bench: Bench, name: string): Promise<void>;
  /** The state that all comes to when nothing breaks. */
  readonly end: (state: State, bench: Bench) => boolean;
  /** The states that a restarted daemon may come to by itself, when the caller does not come again. */
  readonly rest: (state: State, bench: Bench) => boolean;
  /** After it, the volume as nobody had died. */
  after(bench: Bench, name: string): Promise<void>;
}

const id = 'a'.repeat(64);
const otherId = 'b'.repeat(64);
const anyOf =
  (...states: Scenario['end'][]): Scenario['end'] =>
  (state, bench) =>
    states.some((each) => each(state, bench));

const create = async (bench: Bench, name: string) => void (await bench.ok('Create', { Name: name }));
const mount = async (bench: Bench, name: string, ID?: string) => {
  const { Mountpoint } = await bench.ok('Mount', { Name: name, ...(ID === undefined ? {} : { ID }) });
  if (Mountpoint !== `${bench.target(name)}/data`) throw new Error(`Mount answered ${Mountpoint}`);
};
const unmount = async (bench: Bench, name: string, ID?: string) =>
  void (await bench.ok('Unmount', { Name: name, ...(ID === undefined ? {} : { ID }) }));
const remove = async (bench: Bench, name: string) => void (await bench.ok('Remove', { Name: name }));

/** Mounted for the holder, with data. */
async function inUse(bench: Bench, name: string): Promise<void> {
  await create(bench, name);
  await mount(bench, name, id);
  await writeFile(bench.marker(name), name, { flush: true });
}

/** Detached, with data. */
async function withData(bench: Bench, name: string): Promise<void> {
  await inUse(bench, name);
  await unmount(bench, name, id);
  await bench.reaches(name, released);
}

async function checkData(bench: Bench, name: string): Promise<void> {
  const text = await readFile(bench.marker(name), 'utf8');
  if (text !== name) throw new Error(`the data is gone: ${JSON.stringify(text)}`);
}

/** Usable for another holder, its data there; released when that one leaves. */
async function serves(bench: Bench, name: string): Promise<void> {
  await mount(bench, name, otherId);
  await checkData(bench, name);
  await unmount(bench, name, otherId);
  await bench.reaches(name, released);
}

async function leave(bench: Bench, name: string): Promise<void> {
  await unmount(bench, name, id);
  await bench.reaches(name, released);
}

/** The name can be used again, for one new volume. */
async function createAgain(bench: Bench, name: string): Promise<void> {
  await create(bench, name);
  await bench.reaches(name, released);
}

/** Restarts the daemon, which may die while it starts. */
async function restart(bench: Bench, meanwhile: () => Promise<unknown> = async () => undefined): Promise<void> {
  await bench.kill();
  await meanwhile();
  await bench.start();
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
    end: heldBy(null),
    rest: heldBy(null),
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
