/**
 * The protocol that production does not use by default: attachments are kept over a boot, takers announce themselves before
 * they look a second time, and a node that boots waits before it reads whether somebody has. And what it would be without
 * each of its parts.
 */
import { type Eye, hibernatedIsDead, separateReads, stoppingIsDead } from './eye.ts';
import { bothDo, joint, type Variant, wait } from './variants.ts';
import type { Bounds, Protocol } from './world.ts';

const look = ['read volume', 'read owner'] as const;
const act = ['detach', 'attach'] as const;

/** Here the intent makes up for reading the attachment and the owner one after the other. */
const full: Protocol = {
  ...joint,
  plans: bothDo(...look, 'announce', ...wait, ...look, ...act),
  eye: separateReads,
  atBoot: 'quarantine',
  clean: 'never',
  joint: false,
  intents: 'a key per fence',
};

const usual: Partial<Bounds> = { boots: 1, releases: 1, attaches: 1 };
/** A reads an intent, or it does not. */
const yielding: Partial<Bounds> = { boots: 1, attaches: 1 };

export const safe: readonly Variant[] = [
  { name: 'full protocol', protocol: full, bounds: yielding, large: { ...usual, boots: 2 } },
  {
    name: 'full protocol, graceful stops',
    protocol: full,
    bounds: { boots: 1, graceful: true },
    large: { ...usual, graceful: true },
  },
  {
    name: 'full protocol, hibernation',
    protocol: full,
    bounds: { boots: 1, sleeps: 1 },
    large: { ...usual, sleeps: 1 },
  },
  {
    name: 'full protocol, takers come back',
    protocol: { ...full, comesBack: true },
    bounds: { boots: 1 },
    large: usual,
  },
];

/** The liveness of the protocol is checked on this one. */
export const alive: Variant = {
  name: 'a taker can still mount',
  protocol: { ...full, comesBack: true },
  bounds: { boots: 1 },
};

const but =
  (eye: Eye): Eye =>
  (seen) =>
    eye(separateReads(seen));

export const weakened: readonly Variant[] = [
  {
    name: 'hibernated counts as dead',
    protocol: { ...full, eye: but(hibernatedIsDead) },
    bounds: { sleeps: 1 },
    watched: ['I2'],
    finds: {
      breaks: 'I2',
      steps: 11,
      passing: ['A hibernates', 'B writes its intent', 'A resumes', "B reads A's record (one change ago): take"],
    },
  },
  {
    name: 'detach without its device',
    protocol: { ...full, detachNames: 'instance' },
    bounds: yielding,
    finds: { breaks: 'I3', steps: 18, passing: ['A reads an intent', 'A attaches', 'B sends its detach'] },
  },
  {
    name: 'detach without its device, until it hits a mount',
    protocol: { ...full, detachNames: 'instance' },
    bounds: yielding,
    watched: ['I2'],
    finds: {
      breaks: 'I2 I3',
      steps: 19,
      passing: ['A reads an intent', 'A attaches', 'A mounts', 'B sends its detach'],
    },
  },
  {
    name: 'no quarantine after a boot',
    protocol: { ...full, atBoot: 'reuse' },
    bounds: yielding,
    finds: { breaks: 'I2', steps: 12, passing: ['B writes its intent', 'A starts', 'A mounts', 'B has waited'] },
  },
  {
    name: 'nobody waits',
    protocol: { ...full, plans: bothDo(...look, 'announce', ...look, ...act), atBoot: 'hasty' },
    bounds: yielding,
    finds: {
      breaks: 'I2',
      steps: 11,
      passing: ['A reads no intent', 'A mounts', 'B writes its intent', "B reads A's record (one change ago): take"],
    },
  },
  {
    name: 'takers do not wait',
    protocol: { ...full, plans: bothDo(...look, 'announce', ...look, ...act) },
    bounds: yielding,
    finds: {
      breaks: 'I2',
      steps: 13,
      passing: [
        'A ends its quarantine',
        'A mounts',
        'B writes its intent',
        "B reads A's record (one change ago): take",
      ],
    },
  },
  {
    name: 'the node that boots does not wait',
    protocol: { ...full, atBoot: 'hasty' },
    bounds: yielding,
    finds: {
      breaks: 'I2',
      steps: 13,
      passing: ['B writes its intent', 'A starts', 'A reads no intent', 'A mounts', 'B has waited'],
    },
  },
  {
    name: 'a second look without an intent',
    protocol: { ...full, plans: bothDo(...look, ...wait, ...look, ...act) },
    bounds: yielding,
    finds: {
      breaks: 'I2',
      steps: 14,
      passing: ['B begins to wait', 'A reads no intent', 'A mounts', "B reads A's record (one change ago): take"],
    },
  },
  {
    name: 'one intent tag for all takers',
    protocol: { ...full, intents: 'one key' },
    bounds: yielding,
    finds: {
      breaks: 'I2',
      steps: 22,
      passing: [
        'B sends its detach',
        'C writes its intent',
        "C reads A's record: not now",
        'A reads no intent',
        'A mounts',
      ],
    },
  },
  {
    name: 'one intent tag for all fences of a taker that comes back',
    protocol: { ...full, intents: 'a key per node', comesBack: true },
    bounds: yielding,
    finds: {
      breaks: 'I2',
      steps: 23,
      passing: [
        'B sends its detach',
        'B crashes',
        'B writes its intent',
        "B reads A's record: not now",
        'A reads no intent',
        'A mounts',
      ],
    },
  },
  {
    name: 'an intent ends by itself',
    protocol: { ...full, intents: 'expiring' },
    bounds: yielding,
    finds: {
      breaks: 'I2',
      steps: 16,
      passing: ['B sends its detach', 'the intent of B expires', 'A reads no intent', 'A mounts'],
    },
  },
  {
    name: 'stopping counts as dead, as Flocker',
    protocol: { ...full, eye: but(stoppingIsDead) },
    bounds: { graceful: true },
    finds: { breaks: 'I2', steps: 10, passing: ['A begins to stop', "B reads A's record: take", 'B sends its detach'] },
  },
  {
    name: 'detach without its instance, as REX-Ray',
    protocol: { ...full, detachNames: 'nothing' },
    bounds: {},
    finds: {
      breaks: 'I2 I3',
      steps: 20,
      passing: ['B attaches and mounts', 'C sends its detach', 'EC2 detaches the volume from B'],
    },
  },
];
