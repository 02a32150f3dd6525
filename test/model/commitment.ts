/** Production's protocol, the rules C1 to C4 without need of intents, and what it would be without each of its parts. */
import { cleanByTimeAlone, hibernatedIsDead, separateReads, stoppingIsDead } from './eye.ts';
import { bothDo, joint, type Variant, wait } from './variants.ts';
import type { Bounds, Protocol } from './world.ts';

/** The owner's record does not list attachments: the taker waits until every change is visible. */
const delta: Protocol = { ...joint, plans: bothDo('read volume', ...wait, 'read owner', 'detach'), joint: false };

/** With production's second look at a stopped owner. C has to wait, for the records that it read did not agree. */
const secondLook: Protocol = {
  ...joint,
  plans: [
    ['read volume', 'read owner', 'read owner', 'detach'],
    ['read volume', ...wait, 'read owner', 'read owner', 'detach'],
  ],
};

/** Whoever is alive is suspected all the same. */
const stonith: Protocol = {
  ...joint,
  policy: 'stonith',
  plans: bothDo('read volume', 'read owner', 'announce', ...wait, 'read volume', 'read owner', 'stop owner', 'detach'),
};

/** No holder reads intents under C1: without them there are more interleavings within the same room. */
const silentStonith: Protocol = {
  ...stonith,
  plans: bothDo('read volume', 'read owner', ...wait, 'read volume', 'read owner', 'stop owner', 'detach'),
};

const preempt: Protocol = {
  ...joint,
  policy: 'preempt',
  plans: bothDo('read volume', 'read owner', 'announce', ...wait, 'read volume', 'read owner', 'detach'),
};

const small: Partial<Bounds> = { boots: 1, releases: 1, attaches: 1, sleeps: 1 };
const middle: Partial<Bounds> = { ...small, boots: 2 };
const large: Partial<Bounds> = { boots: 3, releases: 2, attaches: 2, sleeps: 1 };
const restart: Partial<Bounds> = { boots: 1, attaches: 1 };
const odd: Partial<Bounds> = { graceful: true, sameSecond: true, lateAttach: true };

export const safe: readonly Variant[] = [
  { name: 'joint record', protocol: joint, bounds: small, large },
  {
    name: 'joint record, older reads',
    protocol: joint,
    bounds: { ...restart, sameSecond: true, depth: 4 },
    large: { ...middle, sameSecond: true, depth: 4 },
  },
  {
    name: 'joint record, every oddity',
    protocol: joint,
    bounds: { ...odd, attaches: 1, releases: 1 },
    large: { ...middle, ...odd },
  },
  { name: 'Δ', protocol: delta, bounds: { ...small, sleeps: 0 }, large: { ...large, attaches: 1 } },
  {
    name: 'Δ, two releases',
    protocol: delta,
    bounds: { releases: 2, attaches: 2 },
    large: { boots: 2, releases: 2, attaches: 2 },
  },
  { name: 'second look', protocol: secondLook, bounds: { ...small, sleeps: 0 }, large: middle },
  { name: 'stonith', protocol: stonith, bounds: {}, large: { boots: 1 } },
  { name: 'stonith without intents', protocol: silentStonith, bounds: { boots: 1 }, large: { ...small, sleeps: 0 } },
  {
    name: 'preempt, but for I2',
    protocol: preempt,
    bounds: {},
    large: { boots: 1 },
    watched: ['I1', 'I3'],
  },
  {
    name: 'preempt without intents, but for I2',
    protocol: {
      ...preempt,
      plans: bothDo('read volume', 'read owner', ...wait, 'read volume', 'read owner', 'detach'),
    },
    bounds: {},
    large: { ...small, sleeps: 0 },
    watched: ['I1', 'I3'],
  },
];

const move: Partial<Bounds> = { releases: 1, attaches: 1 };

export const weakened: readonly Variant[] = [
  {
    name: 'attachment and owner read separately, without Δ',
    protocol: { ...joint, eye: separateReads, joint: false },
    bounds: restart,
    finds: {
      breaks: 'I2',
      steps: 11,
      passing: [
        'A starts',
        'A attaches',
        'A mounts',
        'B reads the volume',
        "B reads A's record (one change ago): take",
      ],
    },
  },
  {
    name: 'attachment used again after a boot, joint record',
    protocol: { ...joint, atBoot: 'reuse' },
    bounds: restart,
    finds: {
      breaks: 'I2',
      steps: 7,
      passing: ['A stops', 'A starts', 'A mounts', "B reads A's record (one change ago): take"],
    },
  },
  {
    name: 'attachment used again after a boot, Δ',
    protocol: { ...delta, atBoot: 'reuse' },
    bounds: restart,
    finds: {
      breaks: 'I2',
      steps: 9,
      passing: ['A stops', 'B begins to wait', 'A starts', 'A mounts', "B reads A's record (one change ago): take"],
    },
  },
  {
    name: 'attachment asked for before a boot, used after it',
    protocol: { ...joint, atBoot: 'detach what is there' },
    bounds: { ...move, boots: 1, lateAttach: true },
    finds: {
      breaks: 'I2',
      steps: 15,
      passing: ['A asks for an attachment', 'A stops', 'A starts', 'A sees its disk', 'A mounts'],
    },
  },
  {
    name: 'detach without its device, joint record',
    protocol: { ...joint, detachNames: 'instance' },
    bounds: restart,
    finds: { breaks: 'I3', steps: 9, passing: ['EC2 detaches the volume from A', 'A attaches', 'B sends its detach'] },
  },
  {
    name: 'detach without its device, Δ',
    protocol: { ...delta, detachNames: 'instance' },
    bounds: restart,
    finds: { breaks: 'I3', steps: 9, passing: ['EC2 detaches the volume from A', 'A attaches', 'B sends its detach'] },
  },
  {
    name: 'detach without its device, until it hits a mount',
    protocol: { ...joint, detachNames: 'instance' },
    bounds: restart,
    watched: ['I2'],
    finds: { breaks: 'I2 I3', steps: 10, passing: ['A attaches', 'A mounts', 'B sends its detach'] },
  },
  {
    name: 'one device name for all attachments',
    protocol: { ...joint, deviceNames: 1 },
    bounds: restart,
    finds: { breaks: 'I3', steps: 9, passing: ['EC2 detaches the volume from A', 'A attaches', 'B sends its detach'] },
  },
  {
    name: 'device names come round while a detach is on its way',
    protocol: { ...joint, deviceNames: 2 },
    bounds: { boots: 1, releases: 1, attaches: 2 },
    finds: {
      breaks: 'I3',
      steps: 14,
      passing: ['A attaches', 'A begins to release', 'A attaches', 'B sends its detach'],
    },
  },
  {
    name: 'detach without its instance, as REX-Ray',
    protocol: { ...joint, detachNames: 'nothing' },
    bounds: {},
    finds: {
      breaks: 'I2 I3',
      steps: 10,
      passing: ['A stops', 'B attaches and mounts', 'C sends its detach', 'EC2 detaches the volume from B'],
    },
  },
  {
    name: 'clean tag withdrawn',
    protocol: {
      ...joint,
      clean: 'withdrawable',
      plans: bothDo('read volume', 'read owner', 'read volume', 'read owner', 'detach'),
    },
    bounds: { releases: 1 },
    finds: {
      breaks: 'I2',
      steps: 9,
      passing: ['A withdraws the clean tag', 'A mounts', 'B reads the volume: clean', 'B reads the volume: clean'],
    },
  },
  {
    name: 'clean tag with the attach time alone',
    protocol: { ...joint, eye: cleanByTimeAlone },
    bounds: { ...move, sameSecond: true },
    finds: {
      breaks: 'I2',
      steps: 11,
      passing: ['A writes the clean tag', 'A attaches in the same second', 'A mounts', 'B reads the volume: clean'],
    },
  },
  {
    name: 'hibernated counts as dead',
    protocol: { ...joint, eye: hibernatedIsDead },
    bounds: { sleeps: 1 },
    watched: ['I2'],
    finds: {
      breaks: 'I2',
      steps: 6,
      passing: ['A hibernates', 'A resumes', "B reads A's record (one change ago): take"],
    },
  },
  {
    name: 'hibernated counts as dead, before it wakes',
    protocol: { ...joint, eye: hibernatedIsDead },
    bounds: { sleeps: 1 },
    finds: { breaks: 'I2 asleep', steps: 5, passing: ['A hibernates', "B reads A's record: take"] },
  },
  {
    name: 'stopping counts as dead, as Flocker',
    protocol: { ...joint, eye: stoppingIsDead },
    bounds: { graceful: true },
    finds: { breaks: 'I2', steps: 5, passing: ['A begins to stop', "B reads A's record: take"] },
  },
  {
    name: 'stonith that takes an accepted stop for a stopped owner',
    protocol: {
      ...stonith,
      plans: bothDo(
        'read volume',
        'read owner',
        'announce',
        ...wait,
        'read volume',
        'read owner',
        'stop owner and go on',
        'detach',
      ),
    },
    bounds: restart,
    finds: {
      breaks: 'I2',
      steps: 10,
      passing: ["B reads A's record: stop", 'B writes its intent', 'B has its owner stopped', 'B sends its detach'],
    },
  },
  {
    name: 'preempt, which is documented to',
    protocol: preempt,
    bounds: {},
    finds: {
      breaks: 'I2',
      steps: 9,
      passing: ["B reads A's record: pull", 'B writes its intent', 'B has waited', 'B sends its detach'],
    },
  },
];
