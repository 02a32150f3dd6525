import { mkdir, readdir, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { command } from './command.ts';
import { gib } from './model.ts';

/** The sparse files that hold what volumes and snapshots hold. */
export class VolumeFiles {
  readonly #volumes: string;
  readonly #snapshots: string;

  constructor(dir: string) {
    this.#volumes = join(dir, 'volumes');
    this.#snapshots = join(dir, 'snapshots');
  }

  async prepare(): Promise<void> {
    await mkdir(this.#volumes, { recursive: true });
    await mkdir(this.#snapshots, { recursive: true });
  }

  path(file: string): string {
    return join(this.#volumes, file);
  }

  #snapshot(snapshotId: string): string {
    return join(this.#snapshots, `${snapshotId}.img`);
  }

  /** Makes a new volume's file: zeros, or a snapshot's content with zeros after it. */
  async create(file: string, sizeGib: number, snapshotId: string | undefined): Promise<void> {
    if (snapshotId === undefined) await writeFile(this.path(file), '');
    else await copy(this.#snapshot(snapshotId), this.path(file));
    await this.grow(file, sizeGib);
  }

  async grow(file: string, sizeGib: number): Promise<void> {
    await truncate(this.path(file), sizeGib * gib);
  }

  /** Makes a new volume's file from another's present content, with zeros after it. */
  async copyVolume(source: string, file: string, sizeGib: number): Promise<void> {
    await copy(this.path(source), this.path(file));
    await this.grow(file, sizeGib);
  }

  /** Copies a volume's present content; gives the new file's name. */
  async duplicate(file: string): Promise<string> {
    const [, id, generation = '0'] = /^(.*?)(?:\.(\d+))?\.img$/.exec(file) ?? [];
    const fresh = `${id}.${Number(generation) + 1}.img`;
    await copy(this.path(file), this.path(fresh));
    return fresh;
  }

  async saveSnapshot(file: string, snapshotId: string): Promise<void> {
    const target = this.#snapshot(snapshotId);
    await copy(this.path(file), `${target}.new`);
    await rename(`${target}.new`, target);
  }

  async removeSnapshot(snapshotId: string): Promise<void> {
    await rm(this.#snapshot(snapshotId), { force: true });
  }

  async remove(file: string): Promise<void> {
    await rm(this.path(file), { force: true });
  }

  /** Removes every volume file that is not among `known`: what an interrupted run left. */
  async removeStrays(known: ReadonlySet<string>): Promise<void> {
    for (const file of await readdir(this.#volumes)) if (!known.has(file)) await this.remove(file);
  }
}

async function copy(from: string, to: string): Promise<void> {
  await command('cp', '--sparse=always', '--reflink=auto', from, to);
}
