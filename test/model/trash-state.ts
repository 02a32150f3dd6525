/** The state of the trash's model: three EBS volumes that one name may mean, as they are and as reads may show them. */

/**
 * V is in the trash at first, or has the name; W is another in the trash, or what a rollback makes; E is what a Create makes,
 * or a second rollback.
 */
export const volumes = ['V', 'W', 'E'] as const;

/** A volume as EC2 has it. `by` is the process that has it attached, counted from 1; 0 is nobody. */
export interface Volume {
  readonly there: boolean;
  readonly by: number;
  readonly named: boolean;
  readonly trash: boolean;
  /** The volume that it was made to replace, counted from 1, as long as it counts for nothing; 0 is none. */
  readonly replaces: number;
  /** Another is being made to replace it; and the one that was chosen to, counted from 1: 0 is none. */
  readonly replacing: boolean;
  readonly replaced: number;
}

export const absent: Volume = {
  there: false,
  by: 0,
  named: false,
  trash: false,
  replaces: 0,
  replacing: false,
  replaced: 0,
};

/** What a read may show of a volume: the newest first. `waits` has a bit for each process that will not be shown it again. */
export interface Sight {
  readonly volume: Volume;
  readonly waits: number;
}

/** A process: where it stands, and the volume that it is about. */
export interface Process {
  readonly at: number;
  readonly about: number;
  /** How often it does its work still, or may still crash. */
  readonly left: number;
  readonly crashes: number;
  /** For a purge: the processes whose wait had begun before its look. A wait that begins and ends after it outlasts its time. */
  readonly since: number;
  /** For whoever ends a rollback: what its last look showed V to be replaced by, and a bit for each volume that it is to delete. */
  readonly saw: number;
  readonly deletes: number;
}

export interface State {
  readonly sights: readonly (readonly Sight[])[];
  readonly processes: readonly Process[];
  /** Under which volume the name was mounted last since it was removed, and what a user was told that it is; 3 is none. */
  readonly current: number;
  readonly told: number;
  /** Calls of processes that have died, still on their way: the volume that is given the name, and whether E is made. 3 is none. */
  readonly lateName: number;
  readonly lateMake: boolean;
  /** One of a rollback, see rollback-calls.ts; 0 is none. A wait that has begun since outlasts it: a bit for each process. */
  readonly late: number;
  readonly lateWaits: number;
}

export const none = 3;
const depth = 3;

export const truth = (state: State, which: number): Volume => state.sights[which]![0]!.volume;

const same = (one: Volume, other: Volume): boolean => bits(one) === bits(other);

/** The state after a change of one volume. */
export function changed(state: State, which: number, change: Partial<Volume>): State {
  const before = state.sights[which]!;
  const volume = { ...before[0]!.volume, ...change };
  if (same(volume, before[0]!.volume)) return state;
  const older = before.filter((sight) => !same(sight.volume, volume));
  const sights = [{ volume, waits: 0 }, ...older].slice(0, depth);
  return { ...state, sights: state.sights.map((each, index) => (index === which ? sights : each)) };
}

/** The state once a process has begun to wait until nothing older than now is shown to it. */
export const waitBegins = (state: State, bit: number): State => ({
  ...state,
  sights: state.sights.map((sights) =>
    sights.map((each, age) => (age === 0 ? each : { ...each, waits: each.waits | bit })),
  ),
  processes: state.processes.map((each) => ({ ...each, since: each.since & ~bit })),
  lateWaits: state.late === 0 ? 0 : state.lateWaits | bit,
});

/** The state once it has waited: what was superseded before is shown to nobody, for that wait was as long for all. */
export const waitEnds = (state: State, bit: number): State => ({
  ...state,
  sights: state.sights.map((sights) => sights.filter(({ waits }) => (waits & bit) === 0)),
});

/** A wait that is given up. */
export const waitDropped = (state: State, bit: number): State => ({
  ...state,
  sights: state.sights.map((sights) => sights.map((each) => ({ ...each, waits: each.waits & ~bit }))),
  lateWaits: state.lateWaits & ~bit,
});

export const withProcess = (state: State, index: number, change: Partial<Process>): State => ({
  ...state,
  processes: state.processes.map((each, place) => (place === index ? { ...each, ...change } : each)),
});

const bits = ({ there, by, named, trash, replaces, replacing, replaced }: Volume): number =>
  1 |
  (there ? 2 : 0) |
  (named ? 4 : 0) |
  (trash ? 8 : 0) |
  (by << 4) |
  (replaces << 7) |
  (replaced << 9) |
  (replacing ? 2048 : 0);
const volumeOf = (cell: number): Volume => ({
  there: (cell & 2) !== 0,
  named: (cell & 4) !== 0,
  trash: (cell & 8) !== 0,
  by: (cell >> 4) & 7,
  replaces: (cell >> 7) & 3,
  replaced: (cell >> 9) & 3,
  replacing: (cell & 2048) !== 0,
});

export const widthOf = (processes: number): number => volumes.length * depth * 2 + 2 + processes * 2;

export function encode({ sights, processes, ...rest }: State, rows: Uint16Array, at: number): void {
  let cell = at;
  for (const each of sights) {
    for (let age = 0; age < depth; age++) {
      rows[cell++] = each[age] === undefined ? 0 : bits(each[age]!.volume);
      rows[cell++] = each[age]?.waits ?? 0;
    }
  }
  rows[cell++] = rest.current | (rest.told << 2) | (rest.lateName << 4) | (rest.lateMake ? 64 : 0);
  rows[cell++] = rest.late | (rest.lateWaits << 8);
  for (const { at: place, about, left, crashes, since, saw, deletes } of processes) {
    rows[cell++] = place | (about << 5) | (left << 7) | (crashes << 9) | (saw << 11);
    rows[cell++] = since | (deletes << 8);
  }
}

export function decode(rows: Uint16Array, at: number, processes: number): State {
  let cell = at;
  const sights = volumes.map(() => {
    const list: Sight[] = [];
    for (let age = 0; age < depth; age++) {
      const volume = rows[cell++]!;
      const waits = rows[cell++]!;
      if (volume !== 0) list.push({ volume: volumeOf(volume), waits });
    }
    return list;
  });
  const rest = rows[cell++]!;
  const late = rows[cell++]!;
  return {
    sights,
    current: rest & 3,
    told: (rest >> 2) & 3,
    lateName: (rest >> 4) & 3,
    lateMake: (rest & 64) !== 0,
    late: late & 255,
    lateWaits: late >> 8,
    processes: Array.from({ length: processes }, () => {
      const packed = rows[cell++]!;
      const more = rows[cell++]!;
      return {
        at: packed & 31,
        about: (packed >> 5) & 3,
        left: (packed >> 7) & 3,
        crashes: (packed >> 9) & 3,
        saw: packed >> 11,
        since: more & 255,
        deletes: more >> 8,
      };
    }),
  };
}
