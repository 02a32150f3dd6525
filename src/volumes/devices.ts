import { chooseDeviceName } from '../ebs/device-names.ts';

/** More names than an instance can have disks: the order of use beyond that decides nothing. */
const remembered = 100;

/** The EC2 device names of this node: which are taken, and in what order they were used. */
export interface DeviceNames {
  /** Chooses a name and takes it, in one step: two volumes never get the same. Undefined when all are taken. */
  reserve(kernelNames: ReadonlySet<string>): string | undefined;
  /** Marks names that are taken by somebody else's account (EC2's record of the instance, the journal). */
  take(names: Iterable<string>): void;
  free(name: string): void;
  /** Names used so far, oldest first. */
  recent(): readonly string[];
}

/** Device names with a history, oldest first. */
export function createDeviceNames(history: readonly string[]): DeviceNames {
  const taken = new Set<string>();
  let recent = [...history];
  return {
    reserve(kernelNames) {
      const name = chooseDeviceName({ taken: new Set([...taken, ...kernelNames]), recent });
      if (name === undefined) return undefined;
      taken.add(name);
      recent = [...recent.filter((used) => used !== name), name].slice(-remembered);
      return name;
    },
    take(names) {
      for (const name of names) taken.add(name);
    },
    free: (name) => void taken.delete(name),
    recent: () => recent,
  };
}
