import { Callers } from './callers.ts';
import { delay } from './clock.ts';
import { idOf, type NodeOf, targetOf } from './daemons.ts';

/** Machines, daemons and callers, with what befalls them; comes to rest at the end, and is looked over there. */
export class World extends Callers {
  /** The daemon is killed and starts anew without its records. */
  loseJournal(node: NodeOf): void {
    this.killDaemon(node);
    node.lostJournalAt = Date.now();
    node.journal.records.clear();
    this.startDaemon(node);
  }

  reboot(node: NodeOf): void {
    if (!node.machine.powered) return;
    this.killDaemon(node);
    this.note(`${idOf(node)} reboots`);
    node.life += 1;
    node.holders = [];
    node.machine.powerOff('cut');
    node.machine.powerOn();
  }

  /** Stops an instance: until it is stopped, its machine works on. */
  async stop(node: NodeOf, how: 'cut' | 'hibernate'): Promise<void> {
    const id = idOf(node);
    if (this.cloud.instances.get(id)?.state !== 'running') return;
    this.note(`${id} stops (${how})`);
    this.cloud.setInstance(id, { state: 'stopping', stateReason: undefined });
    await delay(2000);
    if (this.cloud.instances.get(id)?.state !== 'stopping') return;
    this.#losePower(node, how);
    const stateReason = how === 'cut' ? 'Client.UserInitiatedShutdown' : 'Client.UserInitiatedHibernate';
    this.cloud.setInstance(id, { state: 'stopped', stateReason });
    this.note(`${id} is stopped`);
  }

  async start(node: NodeOf): Promise<void> {
    const id = idOf(node);
    if (this.cloud.instances.get(id)?.state !== 'stopped') return;
    this.note(`${id} starts`);
    this.cloud.setInstance(id, { state: 'pending', stateReason: undefined });
    await delay(1000);
    if (this.cloud.instances.get(id)?.state !== 'pending') return;
    this.cloud.setInstance(id, { state: 'running', launchTime: new Date().toISOString() });
    node.machine.powerOn();
    this.startDaemon(node);
  }

  async terminate(node: NodeOf): Promise<void> {
    const id = idOf(node);
    const living = this.nodes.filter((each) => !this.#isGone(each));
    if (living.length <= 1 || this.#isGone(node)) return;
    this.note(`${id} is terminated`);
    this.cloud.setInstance(id, { state: 'shutting-down' });
    await delay(2000);
    this.#losePower(node, 'cut');
    this.cloud.terminated(id);
  }

  #isGone(node: NodeOf): boolean {
    return /shutting-down|terminated/.test(this.cloud.instances.get(idOf(node))?.state ?? '');
  }

  #losePower(node: NodeOf, how: 'cut' | 'hibernate'): void {
    this.killDaemon(node);
    if (how === 'cut') {
      node.life += 1;
      node.holders = [];
    }
    node.machine.powerOff(how);
  }

  force(name: string, andDelete: boolean): void {
    const volume = this.volumeOf(name);
    if (volume === undefined) return;
    this.note(`somebody detaches ${volume.id} by force${andDelete ? ' and deletes it' : ''}`);
    this.cloud.force(volume, andDelete);
    for (const node of this.nodes) node.holders = node.holders.filter(({ volumeId }) => volumeId !== volume.id);
  }

  /** Ends every fault and every user, and looks whether the world comes to rest, and still serves. */
  async end(names: readonly string[]): Promise<void> {
    this.note('--- the end: no more faults');
    this.cloud.clearFaults();
    for (const node of this.nodes) {
      node.machine.faults.clear();
      node.journal.isFull = () => false;
    }
    await this.pass(10_000);
    for (const node of this.nodes) void this.start(node);
    await this.pass(2000);
    for (const node of this.nodes) this.startDaemon(node);
    await this.#answered(names);
    for (const { node, container } of this.containers()) this.endContainer(node, container, this.random() < 0.5);
    for (const node of this.nodes) for (const name of names) this.unmount(node, name, undefined);
    await this.pass(120_000);
    for (const reason of await this.#waits(names)) this.broken('end', reason);
    this.#checkRest('at rest');
    if (this.failures.length > 0) return;
    for (const name of names) await this.#mountFresh(name);
    await this.pass(60_000);
    this.#checkRest('after fresh mounts');
  }

  /** Waits for every call, and for the containers that start after. */
  async #answered(names: readonly string[]): Promise<void> {
    for (let waited = 0; this.pending.size > 0 && waited < 600_000; waited += 5000) await this.pass(5000);
    if (this.pending.size === 0) return this.pass(5000);
    for (const reason of await this.#waits(names)) this.note(reason);
    for (const left of this.pending.values()) this.broken('end', `still under way: ${left}`);
  }

  /** What the drivers say that they wait for. */
  async #waits(names: readonly string[]): Promise<string[]> {
    const found: string[] = [];
    for (const node of this.nodes) {
      const driver = await node.daemon?.driver;
      for (const name of names) {
        const reason = driver?.waitingFor(name);
        if (reason !== undefined) found.push(`${name} on ${idOf(node)} waits for ${reason}`);
      }
    }
    return found;
  }

  async #mountFresh(name: string): Promise<void> {
    if (this.volumeOf(name) === undefined) return;
    const able = this.nodes.filter(({ daemon }) => daemon !== undefined);
    const node = able[Math.floor(this.random() * able.length)];
    if (node === undefined) return;
    let outcome: string | undefined;
    this.call(node, `mount ${name} for the last time`, (driver) => driver.mount(name, 'last'))?.then(
      () => {
        outcome = 'mounted';
      },
      (error: Error) => {
        outcome = error.message;
      },
    );
    for (let waited = 0; outcome === undefined && waited < 120_000; waited += 1000) await this.pass(1000);
    const disk = node.machine.mounted.get(targetOf(name));
    if (outcome !== 'mounted' || disk === undefined)
      this.broken('end', `a fresh mount of ${name} fails: ${outcome ?? 'no answer'}`);
    else this.checkContent(disk.volumeId, disk.records ?? []);
    this.unmount(node, name, 'last');
  }

  #checkRest(when: string): void {
    for (const { id, state, attachments } of this.cloud.volumes.values()) {
      if (attachments.length > 0 || state !== 'available')
        this.broken('end', `${when}: ${id} is ${state}, ${JSON.stringify(attachments)}`);
      this.checkContent(id, this.cloud.records.get(id) ?? []);
    }
    for (const { machine, journal, daemon, lostJournalAt } of this.nodes) {
      const left = [...journal.records.values()].map(({ name, phase }) => `a record of ${name} (${phase})`);
      left.push(
        ...[...machine.mounted]
          .filter(([, disk]) => disk.live || lostJournalAt < 0)
          .map(([target]) => `a mount at ${target}`),
      );
      if (daemon !== undefined && left.length > 0)
        this.broken('end', `${when}: ${machine.instanceId} has ${left.join(', ')}`);
    }
  }
}
