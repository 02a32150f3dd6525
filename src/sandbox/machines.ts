import { Machine, type MachineRoom } from './machine.ts';
import type { InstanceRecord } from './model.ts';

/** The machines behind the instances, made when first asked for. */
export class Machines {
  readonly #machines = new Map<string, Machine>();
  readonly #room: MachineRoom;

  constructor(room: MachineRoom) {
    this.#room = room;
  }

  of(instance: InstanceRecord): Machine {
    const known = this.#machines.get(instance.id) ?? new Machine(instance, this.#room);
    this.#machines.set(instance.id, known);
    return known;
  }

  /** The machine of an instance by id, if it has one. */
  find(instanceId: string): Machine | undefined {
    return this.#machines.get(instanceId);
  }

  /** Every machine with its instance's id. */
  entries(): [string, Machine][] {
    return [...this.#machines];
  }
}
