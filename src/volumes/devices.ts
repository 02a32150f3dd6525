import { chooseDeviceName } from '../ebs/device-names.ts';

/** More names than an instance can have disks: the order of use beyond that decides nothing. */
const remembered = 100;

/** The EC2 device names of this node: which are taken, and in what order they were used. */
export interface DeviceNames {
  /** Chooses a name and takes it, in one step: two volumes never get the same. Undefined when all are taken. */
  reserve(kernelNames: ReadonlySet<string>): string | undefined;
  /** Marks names that are taken by somebody else's account (EC2's record of the instance, the journal). */
  take(names: Iterable<string>): void;
  /** A name that EC2 refuses without listing it: it is not given out again. */
  ban(name: string): void;
  /** Gives a name back; it is the last to be used again. */
  free(name: string): void;
  /** Names used so far, oldest first. */
  recent(): readonly string[];
}

/** Device names with a history, oldest first. */
export function createDeviceNames(history: readonly string[]): DeviceNames {
  const taken = new Set<string>();
  const banned = new Set<string>();
  const usedLast = (name: string) => [...recent.filter((used) => used !== name), name].slice(-remembered);
  let recent = [...history];
  return {
    reserve(kernelNames) {
      const name = chooseDeviceName({ taken: new Set([...taken, ...banned, ...kernelNames]), recent });
      if (name === undefined) return undefined;
      taken.add(name);
      recent = usedLast(name);
      return name;
    },
    take(names) {
      for (const name of names) taken.add(name);
    },
    ban: (name) => void banned.add(name),
    free(name) {
      taken.delete(name);
      recent = usedLast(name);
    },
    recent: () => recent,
  };
}
