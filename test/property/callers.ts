import { isCode } from '../../src/errors.ts';
import { delay } from './clock.ts';
import { stalenessMs } from './cloud.ts';
import { Daemons, type Holder, idOf, type NodeOf, targetOf } from './daemons.ts';
import type { Container } from './plugged.ts';

/** What every reader must have seen by then, with all that a read may take. */
const knownMs = stalenessMs + 20_000;

/** Those who call the daemons, and hold them to their answers; the containers that write on what they got. */
export class Callers extends Daemons {
  /** What every volume must still hold: the records whose writers were told that they are safe. */
  readonly acknowledged = new Map<string, string[]>();
  #records = 0;
  protected takes = 0;
  rollbacks = 0;
  readonly #changing = new Map<string, number>();

  /** Holds "no such volume" against the world: the volume was there all the time and every read must show it. */
  #mayBeAbsent(name: string): (error: unknown) => void {
    const before = this.volumeOf(name);
    const known = before !== undefined && this.namedFor(name, before.id) > knownMs;
    return (error) => {
      if (known && this.volumeOf(name)?.id === before.id && isCode(error, 'NO_SUCH_VOLUME'))
        this.broken('exists', `${name} is ${before.id}, and yet: ${(error as Error).message}`);
    };
  }

  /** Runs a call that changes whether a name exists. */
  #changingCall(name: string, call: Promise<unknown> | undefined, done: (alone: boolean) => void): void {
    const mine = (this.#changing.get(name) ?? 0) + 1;
    this.#changing.set(name, mine);
    call?.then(
      () => done(this.#changing.get(name) === mine),
      () => undefined,
    );
  }

  /** @param from another volume to copy. */
  create(node: NodeOf, name: string, from?: string): void {
    const options = from === undefined ? {} : { from };
    const what = from === undefined ? `create ${name}` : `create ${name} from ${from}`;
    const call = this.call(node, what, (driver) => driver.create(name, options));
    this.#changingCall(name, call, (alone) => {
      const stale = Date.now() - (this.lastSeen.get(name) ?? Number.NEGATIVE_INFINITY) < knownMs;
      if (alone && !stale && this.volumeOf(name) === undefined)
        this.broken('create', `${name} was made and is not there`);
    });
  }

  remove(node: NodeOf, name: string): void {
    const before = this.volumeOf(name);
    const known = before !== undefined && this.namedFor(name, before.id) > knownMs;
    const call = this.call(node, `remove ${name}`, (driver) => driver.remove(name));
    this.#changingCall(name, call, () => {
      if (known && this.volumeOf(name)?.id === before.id)
        this.broken('remove', `${before.id} was removed and is there`);
    });
  }

  /** Brings back what was removed last of this name. */
  undelete(node: NodeOf, name: string): void {
    const call = this.call(node, `undelete ${name}`, (driver) => driver.operator.trash.undelete(name, undefined));
    this.#changingCall(name, call, () => undefined);
    call?.then(
      ({ volumeId }) => {
        if (!this.cloud.volumes.has(volumeId) && !this.cloud.tampered.has(volumeId))
          this.broken('undelete', `${volumeId} was undeleted and is not there`);
      },
      () => undefined,
    );
  }

  /** Takes a snapshot; one that stood still holds all that was acknowledged before it was asked for. */
  take(node: NodeOf, name: string): void {
    const before = new Map([...this.acknowledged].map(([id, records]) => [id, [...records]]));
    this.takes += 1;
    const called = `s${this.takes}`;
    const call = this.call(node, `take ${called} of ${name}`, (driver) =>
      driver.operator.snapshots.take(name, called, { crash: false }),
    );
    call?.then(
      ({ snapshotId, volumeId }) => {
        const { records = [] } = this.cloud.taken.get(snapshotId) ?? {};
        const missing = (before.get(volumeId) ?? []).filter((record) => !records.includes(record));
        if (missing.length > 0) this.broken('snapshot', `${snapshotId} of ${volumeId} lacks ${missing.join(', ')}`);
      },
      () => undefined,
    );
  }

  /**
   * Gives the data of the last snapshot back, which another tool may just have taken: what the name means then holds it, and
   * nobody was at it.
   */
  rollback(node: NodeOf, name: string): void {
    const volume = this.volumeOf(name);
    const isFormatted = this.cloud.contents.get(volume?.id ?? '')?.kind === 'filesystem';
    if (volume !== undefined && isFormatted && this.random() < 0.7) this.cloud.addSnapshot(volume.id);
    const call = this.call(node, `rollback ${name}`, (driver) =>
      driver.operator.snapshots.rollback(name, 'latest', { dryRun: false }),
    );
    this.#changingCall(name, call, () => undefined);
    call?.then(
      ({ volumeId = '', snapshotId, former }) => {
        this.rollbacks += 1;
        const { records = [] } = this.cloud.taken.get(snapshotId) ?? {};
        this.acknowledged.set(volumeId, [...records, ...(this.acknowledged.get(volumeId) ?? [])]);
        if (!this.cloud.tampered.has(volumeId)) this.checkContent(volumeId, this.cloud.records.get(volumeId) ?? []);
        const isThere = this.cloud.volumes.has(former) || this.purges > 0 || this.cloud.tampered.has(former);
        if (!isThere) this.broken('rollback', `${former} is not in the trash`);
      },
      () => undefined,
    );
  }

  /** Deletes all of the trash for good. */
  purge(node: NodeOf): void {
    this.purges += 1;
    this.call(node, 'purge', (driver) => driver.operator.trash.purge('all', { dryRun: false }))?.catch(() => undefined);
  }

  look(node: NodeOf, name: string, verb: 'get' | 'path'): void {
    const check = this.#mayBeAbsent(name);
    let held = false;
    const call = this.call(node, `${verb} ${name}`, async (driver) => {
      const record = node.journal.records.get(name);
      held = record !== undefined && !record.removing && !record.giving;
      let answered = false;
      const answer = driver[verb](name);
      answer.then(
        () => {
          answered = true;
        },
        () => undefined,
      );
      // An answer from memory needs no time; every call of EC2 does.
      for (let turn = 0; turn < 20; turn++) await undefined;
      if (held && !answered) this.broken('get', `${verb} of ${name}, held on ${idOf(node)}, is not from memory`);
      return answer;
    });
    call?.catch((error: Error) => {
      check(error);
      if (held) this.broken('get', `${verb} of ${name}, held on ${idOf(node)}: ${error.message}`);
    });
  }

  list(node: NodeOf): void {
    this.call(node, 'list', (driver) => driver.list())?.catch(() => undefined);
  }

  /** Mounts; a caller may leave after a while, and a container may start on what it gets. */
  mount(node: NodeOf, name: string, id: string | undefined, more: { leavesMs?: number; containerMs?: number }): void {
    const { machine, life } = node;
    const left = new AbortController();
    const { signal } = left;
    if (more.leavesMs !== undefined) void delay(more.leavesMs).then(() => left.abort());
    const began = Date.now();
    const check = this.#mayBeAbsent(name);
    const call = this.call(node, `mount ${name} ${id ?? 'anonymous'}`, (driver) => driver.mount(name, id, { signal }));
    call?.then((directory) => {
      const disk = machine.mounted.get(targetOf(name));
      const volumeId = disk?.volumeId ?? '';
      if (directory !== `${targetOf(name)}/data` || disk === undefined)
        return this.broken('mounted', `${name} on ${idOf(node)} is not, though Mount succeeded`);
      const harmed = (this.cloud.tampered.get(volumeId) ?? -1) >= began;
      if (!disk.live && !harmed) this.broken('mounted', `${name} on ${idOf(node)} is a ghost, though Mount succeeded`);
      if (disk.live) this.checkContent(volumeId, disk.records ?? []);
      const others = node.holders.filter((each) => each.name !== name || each.id !== id);
      node.holders = [...others, { name, id, volumeId, began }];
      const { containerMs } = more;
      if (containerMs !== undefined) void delay(containerMs).then(() => this.#startContainer(node, life, name, id));
    }, check);
  }

  #startContainer(node: NodeOf, life: number, name: string, id: string | undefined): void {
    const { machine } = node;
    const holder = node.holders.find((each) => each.name === name && each.id === id);
    if (node.life !== life || holder === undefined) return;
    const disk = machine.mounted.get(targetOf(name));
    const harmed = (this.cloud.tampered.get(holder.volumeId) ?? -1) >= holder.began;
    if (disk === undefined || !disk.live) {
      const ended = this.#mayHaveEnded(node, holder);
      if (!harmed && !ended) this.broken('mounted', `${name} on ${idOf(node)} went before its container ${id} started`);
      return;
    }
    const container: Container = { name, disk, id: id ?? null };
    machine.containers.add(container);
    this.note(`${idOf(node)} container ${id ?? 'anonymous'} starts on ${name}`);
    this.write(node, container);
  }

  /** An Unmount of the holder itself; without the records of before, an Unmount of the volume counts for anybody. */
  #mayHaveEnded({ unmounted, lostJournalAt }: NodeOf, { name, id, began }: Holder): boolean {
    if ((unmounted.get(`${name} ${id}`) ?? -1) >= began) return true;
    const last = Math.max(...[...unmounted].filter(([who]) => who.startsWith(`${name} `)).map(([, at]) => at));
    return lostJournalAt >= began && last >= lostJournalAt;
  }

  write({ machine }: NodeOf, { disk }: Container): void {
    this.#records += 1;
    const record = `r${this.#records}`;
    if (!machine.write(disk, record)) return;
    this.acknowledged.set(disk.volumeId, [...(this.acknowledged.get(disk.volumeId) ?? []), record]);
    this.checkContent(disk.volumeId, this.cloud.records.get(disk.volumeId) ?? []);
  }

  protected checkContent(volumeId: string, found: readonly string[]): void {
    const missing = (this.acknowledged.get(volumeId) ?? []).filter((record) => !found.includes(record));
    if (missing.length > 0) this.broken('data', `${volumeId} has lost ${missing.join(', ')}`);
  }

  containers(): { node: NodeOf; container: Container }[] {
    return this.nodes.flatMap((node) => [...node.machine.containers].map((container) => ({ node, container })));
  }

  /** A container ends; dockerd says so, or not. */
  endContainer(node: NodeOf, container: Container, says: boolean): void {
    node.machine.containers.delete(container);
    this.note(`${idOf(node)} container ${container.id ?? 'anonymous'} of ${container.name} ends`);
    if (says) this.unmount(node, container.name, container.id ?? undefined);
  }

  unmount(node: NodeOf, name: string, id: string | undefined): void {
    if (node.daemon !== undefined) node.holders = node.holders.filter((each) => each.name !== name || each.id !== id);
    node.unmounted.set(`${name} ${id}`, Date.now());
    const call = this.call(node, `unmount ${name} ${id ?? 'anonymous'}`, (driver) => driver.unmount(name, id));
    call?.catch(() => undefined);
  }
}
