/** Remove, undelete, create, mount and purge of one name, as production has them and without each of their rules. */

import { dead } from './rollback-settle.ts';
import type { Model } from './search.ts';
import { explore } from './search.ts';
import { absent, decode, encode, none, type State, type Volume, widthOf } from './trash-state.ts';
import { type Kind, stepsOf } from './trash-steps.ts';
import { done, production, type TrashProtocol } from './trash-turn.ts';

export interface TrashVariant {
  readonly name: string;
  readonly protocol?: Partial<TrashProtocol>;
  /** Who is there; at most the crashes of each undelete and create. */
  readonly kinds: readonly Kind[];
  /** V has the name at first; else it is in the trash. */
  readonly named?: boolean;
  /** W is in the trash, too. */
  readonly second?: boolean;
  readonly crashes?: number;
  /** How often each mounter mounts. */
  readonly mounts?: 1 | 2;
  /** Part of `npm run model` alone. */
  readonly large?: boolean;
  /** What the search finds, and how soon; nothing where it is absent. */
  readonly finds?: { readonly breaks: string; readonly steps: number };
}

const watched = [
  'two mounted',
  'writes lost from sight',
  'removed and mounted',
  'two of one name',
  'purged',
  'lost',
  'unfound',
  'ambiguous',
  'rolled back under a mount',
];

function modelOf({
  protocol,
  kinds,
  named = false,
  second = false,
  crashes = 0,
  mounts = 1,
}: TrashVariant): Model<State> {
  const inTrash: Volume = { ...absent, there: true, trash: true };
  const first: Volume = named ? { ...absent, there: true, named: true } : inTrash;
  const rules = { ...production, ...protocol };
  return {
    width: widthOf(kinds.length),
    initial: {
      sights: [first, second ? inTrash : absent, absent].map((volume) => [{ volume, waits: 0 }]),
      processes: kinds.map((kind) => ({
        at: 0,
        about: none,
        left: kind === 'mount' ? mounts : kind === 'purge' ? 3 : 0,
        crashes: kind === 'mount' || kind === 'purge' || kind === 'look' ? 0 : crashes,
        since: 0,
        saw: 0,
        deletes: 0,
      })),
      current: named ? 0 : none,
      told: named ? 0 : none,
      lateName: none,
      lateMake: false,
      late: 0,
      lateWaits: 0,
    },
    encode,
    decode: (rows, at) => decode(rows, at, kinds.length),
    steps: (state, emit) =>
      stepsOf(kinds, rules, state, (next, did, broken = []) =>
        emit(next, did, [...broken, ...(isLost(next) ? ['lost'] : [])]),
      ),
  };
}

/** Neither a name nor the trash leads to it. */
const isLost = ({ sights }: State): boolean =>
  sights.slice(0, 2).some(([now]) => now?.volume.there && !now.volume.named && !now.volume.trash);

const ends = (kinds: readonly Kind[], { processes }: State): boolean =>
  processes.every(({ at }, index) => !/undelete|rollback/.test(kinds[index] ?? '') || at === done || at === dead);

/** Searches it. `stuck` counts states from which an undelete never ends though nobody dies any more. */
export function searchTrash(variant: TrashVariant) {
  const found = explore(modelOf(variant), { watched, keeps: (did) => !did.includes('CRASHES') });
  const { states, violation } = found;
  const stuck =
    violation === undefined
      ? found.stuck(
          () => true,
          (state) => ends(variant.kinds, state),
        ).length
      : 0;
  return { states, violation, stuck };
}

/** What is not as expected; undefined when all is. */
export function surpriseOf(
  { finds }: TrashVariant,
  { violation, stuck }: ReturnType<typeof searchTrash>,
): string | undefined {
  if (finds === undefined && violation !== undefined) return `${violation.invariants}:\n${violation.trace.join('\n')}`;
  if (finds === undefined) return stuck === 0 ? undefined : `${stuck} states out of which an undelete never ends`;
  if (violation === undefined) return 'nothing is violated';
  const told = `${violation.invariants} after ${violation.trace.length} steps`;
  return told === `${finds.breaks} after ${finds.steps} steps` ? undefined : `${told}:\n${violation.trace.join('\n')}`;
}

export const safe: readonly TrashVariant[] = [
  { name: 'undelete, create, two mounts', kinds: ['undelete V', 'create', 'mount', 'mount'] },
  { name: 'undelete, purge, mount, crash', kinds: ['undelete V', 'purge', 'mount'], crashes: 1, mounts: 2 },
  { name: 'two undeletes of one, mount', kinds: ['undelete V', 'undelete V', 'mount'], crashes: 1 },
  { name: 'undeletes of two, two mounts', kinds: ['undelete V', 'undelete W', 'mount', 'mount'], second: true },
  { name: 'remove, create, two mounts', kinds: ['remove', 'create', 'mount', 'mount'], named: true },
  { name: 'remove, undelete, purge, mount', kinds: ['remove', 'undelete V', 'purge', 'mount'], named: true, mounts: 2 },
  {
    name: 'undelete, create, two mounts, crashes',
    kinds: ['undelete V', 'create', 'mount', 'mount'],
    crashes: 1,
    large: true,
  },
  {
    name: 'undeletes of two, create, two mounts',
    kinds: ['undelete V', 'undelete W', 'create', 'mount', 'mount'],
    second: true,
    large: true,
  },
  {
    name: 'remove, undelete, create, two mounts, crashes',
    kinds: ['remove', 'undelete V', 'create', 'mount', 'mount'],
    named: true,
    crashes: 1,
    large: true,
  },
];

const racing: Pick<TrashVariant, 'kinds'> = { kinds: ['undelete V', 'create', 'mount', 'mount'] };

export const weakened: readonly TrashVariant[] = [
  {
    name: 'a mounter does not look again',
    kinds: ['remove', 'create', 'mount', 'mount'],
    named: true,
    protocol: { looksAgain: false },
    finds: { breaks: 'removed and mounted', steps: 9 },
  },
  {
    ...racing,
    name: 'a dead undelete is taken up without a wait for what it had sent',
    protocol: { waitsForLate: false },
    crashes: 1,
    finds: { breaks: 'two of one name', steps: 12 },
  },
  {
    ...racing,
    name: 'a create looks when what it made may have been used',
    protocol: { createHurries: false },
    finds: { breaks: 'writes lost from sight', steps: 19 },
  },
  {
    ...racing,
    name: 'an undelete waits once',
    protocol: { waits: 1 },
    finds: { breaks: 'two of one name', steps: 10 },
  },
  {
    ...racing,
    name: 'an undelete does not wait',
    protocol: { waits: 0 },
    finds: { breaks: 'two of one name', steps: 9 },
  },
  {
    ...racing,
    name: 'an undelete does not look at last',
    protocol: { looksLast: false },
    finds: { breaks: 'two of one name', steps: 11 },
  },
  {
    ...racing,
    name: 'a create does not look again',
    protocol: { createLooks: false },
    finds: { breaks: 'two of one name', steps: 10 },
  },
  {
    ...racing,
    name: 'a dead undelete gives its volume back',
    protocol: { afterCrash: 'gives back' },
    crashes: 1,
    finds: { breaks: 'two mounted writes lost from sight', steps: 15 },
  },
  {
    name: 'an undelete takes no lock',
    kinds: ['undelete V', 'purge', 'mount'],
    protocol: { undeleteLocks: false },
    finds: { breaks: 'purged', steps: 4 },
  },
  {
    name: 'a remove takes no lock',
    kinds: ['remove', 'create', 'mount', 'mount'],
    named: true,
    protocol: { removeLocks: false },
    finds: { breaks: 'removed and mounted', steps: 7 },
  },
  {
    name: 'a purge takes its time',
    kinds: ['undelete V', 'purge'],
    protocol: { purgeHurries: false },
    finds: { breaks: 'purged', steps: 9 },
  },
  {
    name: 'what is attached is deleted',
    kinds: ['undelete V', 'purge'],
    protocol: { deleteRefusesUse: false },
    finds: { breaks: 'purged', steps: 6 },
  },
];
