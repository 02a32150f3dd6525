import { readFile, writeFile } from 'node:fs/promises';
import { dvdi } from '../support/dvdi-client.ts';
import { type Bench, released, type State } from './bench.ts';

export const id = 'a'.repeat(64);
export const otherId = 'b'.repeat(64);

/** A state that is one of several. */
export const anyOf =
  (...states: ((state: State, bench: Bench) => boolean)[]) =>
  (state: State, bench: Bench): boolean =>
    states.some((each) => each(state, bench));

/** What a caller asks for, and fails if it is not answered well. */
export const create = async (bench: Bench, name: string) => void (await bench.ok('Create', { Name: name }));
export const mount = async (bench: Bench, name: string, ID?: string) => {
  const { Mountpoint } = await bench.ok('Mount', { Name: name, ...(ID === undefined ? {} : { ID }) });
  if (Mountpoint !== `${bench.target(name)}/data`) throw new Error(`Mount answered ${Mountpoint}`);
};
export const unmount = async (bench: Bench, name: string, ID?: string) =>
  void (await bench.ok('Unmount', { Name: name, ...(ID === undefined ? {} : { ID }) }));
export const remove = async (bench: Bench, name: string) => void (await bench.ok('Remove', { Name: name }));

/** One of the operator's calls. */
export async function operator(bench: Bench, endpoint: string, body: object): Promise<void> {
  const { status, body: answer } = await dvdi(bench.box.node(bench.instanceId).socket).call(`Ebs.${endpoint}`, body);
  if (status !== 200) throw new Error(`${endpoint} answered ${status}: ${JSON.stringify(answer)}`);
}

/** Puts data on a mounted volume, for {@link checkData}. */
export const withMarker = (bench: Bench, name: string) => writeFile(bench.marker(name), name, { flush: true });

/** Mounted for the holder, with data. */
export async function inUse(bench: Bench, name: string): Promise<void> {
  await create(bench, name);
  await mount(bench, name, id);
  await withMarker(bench, name);
}

/** Detached, with data. */
export async function withData(bench: Bench, name: string): Promise<void> {
  await inUse(bench, name);
  await unmount(bench, name, id);
  await bench.reaches(name, released);
}

/** @param written what is to be on it. */
export async function checkData(bench: Bench, name: string, written = name): Promise<void> {
  const text = await readFile(bench.marker(name), 'utf8');
  if (text !== written) throw new Error(`the data is gone: ${JSON.stringify(text)}`);
}

/** Usable for another holder, its data there; released when that one leaves. */
export async function serves(bench: Bench, name: string): Promise<void> {
  await mount(bench, name, otherId);
  await checkData(bench, name);
  await unmount(bench, name, otherId);
  await bench.reaches(name, released);
}

export async function leave(bench: Bench, name: string): Promise<void> {
  await unmount(bench, name, id);
  await bench.reaches(name, released);
}

/** The name can be used again, for one new volume. */
export async function createAgain(bench: Bench, name: string): Promise<void> {
  await create(bench, name);
  await bench.reaches(name, released);
}

/** Restarts the daemon, which may die while it starts. */
export async function restart(bench: Bench, meanwhile: () => Promise<unknown> = async () => undefined): Promise<void> {
  await bench.kill();
  await meanwhile();
  await bench.start();
}
