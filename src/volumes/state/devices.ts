import { chooseDeviceName, deviceNames, slotOf } from '../../ebs/device-names.ts';
import { visibilityMs } from '../../ebs/volume-record.ts';

/**
 * How long a detach of an ended attachment may still arrive: AWS refuses a request 5 minutes after it was signed, the
 * one who sends it looks at most 10 s before, and what was seen may have been older by what EC2's reads lag.
 */
const lateDetachMs = 310_000 + visibilityMs;

/** One volume's use of a device name, as it is remembered and saved. Times are milliseconds since 1970. */
export interface DeviceUse {
  readonly name: string;
  /** Undefined where only the order of use is known. */
  readonly volumeId?: string | undefined;
  /** When it was given back; undefined while in use, and when the daemon ended before it could tell. */
  readonly freedAt?: number | undefined;
  /** Why others get the name last for a while after that, as a clause. */
  readonly quarantine?: string | undefined;
}

/** A name that is free but kept back from a volume. */
interface KeptBack {
  readonly name: string;
  /** A clause. */
  readonly why: string;
  /** Milliseconds from now. */
  readonly forMs: number;
}

/**
 * The EC2 device names of this node. A DetachVolume names volume, instance and device, so one that arrives late can only
 * hit the same volume under the same name: a volume gets no name that it had until that cannot happen any more. Another
 * volume may have the name at once, but gets the one that was used longest ago, and one in quarantine only when there is
 * no other: a volume that spoils names must not leave the others without.
 */
export interface DeviceNames {
  /** Chooses a name and takes it, in one step: two volumes never get the same. Undefined when there is none. */
  reserve(volumeId: string, kernelNames: ReadonlySet<string>): string | undefined;
  /** The name that {@link reserve} would take. */
  next(volumeId: string, kernelNames: ReadonlySet<string>): string | undefined;
  /** Marks names that are in use by this node's own account. */
  take(names: Iterable<string>): void;
  /** The disks that EC2 lists on this instance, all of them; they replace what it listed before. */
  listed(disks: Iterable<{ readonly device: string; readonly card?: number }>): void;
  /** The EBS card for a name that is taken, of so many: the one with the fewest disks, as the EBS CSI driver chooses. */
  chooseCard(name: string, cards: number): number;
  /**
   * Keeps a name from its volume, and makes it the last choice of every other, for as long as a late detach can arrive:
   * what it was used for did not end cleanly.
   */
  quarantine(name: string, volumeId: string, why: string): void;
  /** Gives a name back after the use of a volume, or of none when nothing came to be attached. A quarantine stays. */
  free(name: string, volumeId: string | undefined): void;
  /**
   * Learns from elsewhere that a volume had a name here, when nobody knows. Where no use of it is remembered (the
   * journal was lost), it counts as ended when this daemon started.
   */
  told(name: string, volumeId: string): void;
  /** How many names are in use, by EC2's account and our own. */
  inUse(): number;
  /** Names that are free and that this volume does not get, the one that it gets first at the front. */
  keptBack(volumeId: string): KeptBack[];
  /** What is to be remembered, oldest first. */
  uses(): readonly DeviceUse[];
}

/**
 * Device names with a history, oldest first. A use whose end was not recorded counts as ended now.
 * @param now milliseconds since 1970 that never step back.
 */
export function createDeviceNames(history: readonly DeviceUse[], now: () => number = steadyClock()): DeviceNames {
  const taken = new Set<string>();
  /** By slot; a disk of which nothing is known is on the first one. */
  const cardOf = new Map<number | string, number>();
  let atEc2 = new Set<string>();
  const started = now();
  let uses = history.map((use) =>
    use.volumeId === undefined ? use : { ...use, freedAt: Math.min(use.freedAt ?? started, started) },
  );

  const remember = (use: DeviceUse) => {
    if (!chosenSlots.has(slotOf(use.name))) return;
    const renews = ({ name, volumeId, quarantine }: DeviceUse) =>
      name === use.name && volumeId === use.volumeId && quarantine === undefined;
    const others = uses.filter((each) => !renews(each));
    const last = new Map([...others, use].map((each) => [each.name, each]));
    uses = [...others, use].filter((each) => last.get(each.name) === each || restOf(each) > 0);
  };
  /** How long a late detach can still arrive for a use. */
  const restOf = ({ freedAt }: DeviceUse) => (freedAt === undefined ? 0 : freedAt + lateDetachMs - now());
  const keptFrom = (volumeId: string) => uses.filter((use) => restOf(use) > 0 && use.volumeId === volumeId);
  const quarantined = () => uses.filter((use) => restOf(use) > 0 && use.quarantine !== undefined);
  const choose = (kernelNames: ReadonlySet<string>, kept: readonly DeviceUse[]) =>
    chooseDeviceName({
      taken: new Set([...taken, ...atEc2, ...kernelNames, ...kept.map(({ name }) => name)]),
      recent: uses.map(({ name }) => name),
    });
  const next = (volumeId: string, kernelNames: ReadonlySet<string>) => {
    const own = keptFrom(volumeId);
    return choose(kernelNames, [...own, ...quarantined()]) ?? choose(kernelNames, own);
  };

  return {
    reserve(volumeId, kernelNames) {
      const name = next(volumeId, kernelNames);
      if (name === undefined) return undefined;
      taken.add(name);
      remember({ name, volumeId });
      return name;
    },
    next,
    take(names) {
      for (const name of names) taken.add(name);
    },
    chooseCard(name, cards) {
      const disks = new Array<number>(cards).fill(0);
      for (const slot of new Set([...taken, ...atEc2].map(slotOf))) {
        const card = cardOf.get(slot) ?? 0;
        if (slot !== slotOf(name)) disks[card] = (disks[card] ?? 0) + 1;
      }
      const card = disks.indexOf(Math.min(...disks.slice(0, cards)));
      cardOf.set(slotOf(name), card);
      return card;
    },
    listed(disks) {
      const justFreed = uses.filter((use) => restOf(use) > lateDetachMs - visibilityMs && use.quarantine === undefined);
      const gone = new Set(justFreed.map(({ name }) => name));
      const there = [...disks].filter(({ device }) => !gone.has(device));
      atEc2 = new Set(there.map(({ device }) => device));
      for (const { device, card } of there) if (card !== undefined) cardOf.set(slotOf(device), card);
    },
    quarantine: (name, volumeId, why) => remember({ name, volumeId, freedAt: now(), quarantine: why }),
    free(name, volumeId) {
      taken.delete(name);
      atEc2.delete(name);
      cardOf.delete(slotOf(name));
      remember(volumeId === undefined ? { name } : { name, volumeId, freedAt: now() });
    },
    told(name, volumeId) {
      if (uses.some((use) => use.name === name && use.volumeId === volumeId)) return;
      remember({ name, volumeId, freedAt: started });
    },
    inUse: () => new Set([...taken, ...atEc2].map(slotOf)).size,
    keptBack(volumeId) {
      const used = new Set([...taken, ...atEc2].map(slotOf));
      const kept = keptFrom(volumeId)
        .filter(({ name }) => !used.has(slotOf(name)))
        .map((use) => ({ name: use.name, why: use.quarantine ?? 'this volume had it', forMs: restOf(use) }))
        .sort((one, other) => one.forMs - other.forMs);
      // A name that is kept for two reasons is kept for the longer one.
      return [...new Map(kept.map((each) => [each.name, each])).values()].sort((one, other) => one.forMs - other.forMs);
    },
    uses: () => uses,
  };
}

const chosenSlots = new Set(deviceNames.map(slotOf));

/** The time of day as it was at the start, carried on by a clock that nobody sets. */
function steadyClock(): () => number {
  const origin = Date.now() - performance.now();
  return () => Math.round(origin + performance.now());
}
