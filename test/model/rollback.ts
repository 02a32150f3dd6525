/** Rollback of one name with create, mount, remove and undelete, as production has it and without each of its rules. */
import type { TrashVariant } from './trash.ts';

const named = true;
const crashes = 1;

export const safe: readonly TrashVariant[] = [
  { name: 'rollback, create, look, two mounts', kinds: ['rollback to W', 'create', 'look', 'mount', 'mount'], named },
  { name: 'rollback, create, look, mount, crash', kinds: ['rollback to W', 'create', 'look', 'mount'], named, crashes },
  { name: 'rollback, remove, mount, crash', kinds: ['rollback to W', 'remove', 'mount'], named, crashes },
  { name: 'rollback, undelete, look, crash', kinds: ['rollback to W', 'undelete V', 'look'], named, crashes },
  {
    name: 'rollback, look, mount, crash, calls however late, attachments ended by others',
    kinds: ['rollback to W', 'look', 'mount'],
    protocol: { fencesLiving: true, lateIsBounded: false },
    named,
    crashes,
  },
  {
    name: 'two rollbacks, look, mount, crashes',
    kinds: ['rollback to W', 'rollback to E', 'look', 'mount'],
    named,
    crashes,
    large: true,
  },
  {
    name: 'rollback, create, look, two mounts, crashes',
    kinds: ['rollback to W', 'create', 'look', 'mount', 'mount'],
    named,
    crashes,
    mounts: 2,
    large: true,
  },
  {
    name: 'rollback, look, two mounts, two crashes',
    kinds: ['rollback to W', 'look', 'mount', 'mount'],
    named,
    crashes: 2,
    mounts: 2,
    large: true,
  },
  {
    name: 'rollback, remove, two mounts, crashes, calls however late, attachments ended by others',
    kinds: ['rollback to W', 'remove', 'mount', 'mount'],
    protocol: { fencesLiving: true, lateIsBounded: false },
    named,
    crashes,
    large: true,
  },
];

const crashing: Pick<TrashVariant, 'kinds' | 'named' | 'crashes' | 'mounts'> = {
  kinds: ['rollback to W', 'look', 'mount', 'mount'],
  named,
  crashes,
  mounts: 2,
};

export const weakened: readonly TrashVariant[] = [
  {
    ...crashing,
    name: 'a mounter does not end a rollback that was begun',
    protocol: { settles: false },
    finds: { breaks: 'removed and mounted', steps: 15 },
  },
  {
    ...crashing,
    name: 'who ends a rollback looks once',
    protocol: { looksTwice: false },
    finds: { breaks: 'ambiguous', steps: 13 },
  },
  {
    ...crashing,
    name: 'who calls a rollback off deletes nothing',
    protocol: { withdrawDeletes: false },
    finds: { breaks: 'writes lost from sight', steps: 25 },
  },
  {
    ...crashing,
    name: 'a rollback takes no lock',
    protocol: { rollbackLocks: false },
    finds: { breaks: 'writes lost from sight', steps: 19 },
  },
  {
    ...crashing,
    name: 'a rollback does not say that it begins',
    protocol: { announces: false },
    finds: { breaks: 'writes lost from sight', steps: 20 },
  },
  {
    ...crashing,
    name: 'what a rollback makes counts at once',
    protocol: { pends: false },
    finds: { breaks: 'ambiguous', steps: 6 },
  },
  {
    ...crashing,
    name: 'a rollback does not wait until its choice is seen',
    protocol: { waitsOnceChosen: false },
    finds: { breaks: 'ambiguous', steps: 9 },
  },
  {
    ...crashing,
    name: 'a rollback does not wait until the new one counts for all',
    protocol: { waitsOnceCounting: false },
    finds: { breaks: 'unfound', steps: 12 },
  },
  {
    ...crashing,
    name: 'a rollback does not look whether it has the volume still',
    protocol: { checksLock: false, fencesLiving: true },
    finds: { breaks: 'removed and mounted', steps: 17 },
  },
  {
    ...crashing,
    name: 'a mounter does not look again while a rollback is under way',
    protocol: { looksAgain: false },
    finds: { breaks: 'removed and mounted', steps: 15 },
  },
];
