/** What can go wrong around a takeover, by number, and where it is staged: a test whose title begins with the number. */

export interface Scenario {
  readonly what: string;
  readonly staged: Staged;
}
interface Staged {
  /** Files of this directory, without ".test.ts". */
  readonly here: readonly string[];
  /** A test outside of it, and how its title begins. */
  readonly also?: { readonly file: string; readonly title: string };
}

const here = (...files: string[]): Staged => ({ here: files });
const also = (staged: Staged, file: string, title: string): Staged => ({ ...staged, also: { file, title } });

const takerCrash = 'test/fencing/takeover-crash.test.ts';
const everyCall = '1–8: the taker crashes before or after any of its calls, from an owner that is $title';
const takeover = 'test/fencing/takeover.test.ts';
const gone = 'test/fencing/takeover-gone.test.ts';
const detach = 'test/fencing/takeover-detach.test.ts';
const stonith = 'test/fencing/stonith.test.ts';
const refused = 'test/fencing/stonith-refused.test.ts';
const decide = 'test/fencing/decide-stonith.test.ts';
const moves = 'test/e2e/nodes-move.test.ts';
const faults = 'test/e2e/disk-faults.test.ts';
const ghost = 'takes away the mount of a volume that was detached by force, and the next mount heals';

const crash = also(here('crashes'), takerCrash, everyCall);

export const scenarios: Readonly<Record<number, Scenario>> = {
  1: { what: 'the taker crashes before its intent', staged: crash },
  2: { what: '… after its intent', staged: crash },
  3: { what: '… after StopInstances', staged: also(here('crashes'), stonith, '3: that was told to stop by a call') },
  4: { what: '… after DetachVolume', staged: also(here('crashes'), detach, '4: whose answer is lost') },
  5: { what: '… after AttachVolume', staged: crash },
  6: { what: '… after the attach, before its tags', staged: crash },
  7: { what: '… during the check of the filesystem', staged: here('crashes') },
  8: { what: '… after the mount, before its answer', staged: here('crashes') },
  9: { what: 'EC2 throttles at each step', staged: also(here('answers'), detach, '9: that is throttled') },
  10: { what: 'EC2 fails, denies, or cannot be reached', staged: also(here('answers'), takeover, '10: is waited for') },
  11: { what: 'the owner is shown as stopped though restarted', staged: also(here('answers'), gone, '11: whose') },
  12: { what: 'the volume is shown with an earlier owner, or free', staged: here('answers') },
  13: { what: 'reads go back in time after a success', staged: here('answers') },
  14: { what: 'a detach is delivered minutes late', staged: here('answers') },
  15: { what: 'a zombie returns from a partition', staged: here('machines') },
  16: {
    what: 'a zombie returns by a restart, its volume attached',
    staged: also(
      here('returning'),
      moves,
      'is released by a stopped instance that starts again before anybody took it',
    ),
  },
  17: {
    what: 'a zombie wakes from hibernation',
    staged: also(
      here('returning'),
      moves,
      'is not taken from a hibernated instance, which goes on with it when it wakes',
    ),
  },
  18: { what: 'a dead node restarts with an old state file', staged: here('returning') },
  19: {
    what: 'the owner reboots',
    staged: also(here('returning'), moves, 'is released after a reboot and mounted anew under another device name'),
  },
  20: { what: 'the owner’s daemon is dead, its containers live', staged: here('schedulers', 'stonith') },
  21: { what: 'the owner’s Mesos agent is dead, its containers live', staged: here('schedulers', 'stonith') },
  22: { what: 'a Mesos master that is new knows no agent', staged: here('schedulers') },
  23: { what: 'an agent registers again under a new id', staged: here('schedulers') },
  24: { what: 'an address or host name is used again', staged: here('schedulers') },
  25: { what: 'the scheduler is cut off, or lists only some', staged: here('schedulers') },
  26: { what: 'two takers of one owner', staged: also(here('meanwhile'), takerCrash, '26: two takers at once') },
  27: {
    what: 'two nodes that fence each other',
    staged: also(here('meanwhile'), refused, '27: by a node that is itself'),
  },
  28: {
    what: 'the taker is the one cut off',
    staged: also(here('schedulers'), refused, '28: by a node that does not run'),
  },
  29: { what: 'the taker is paused before its detach', staged: here('machines', 'meanwhile') },
  30: { what: 'clocks are wrong', staged: here('meanwhile') },
  31: { what: 'an operator detaches', staged: here('machines', 'meanwhile') },
  32: {
    what: 'an operator attaches elsewhere',
    staged: also(here('meanwhile'), gone, '32: with another attachment'),
  },
  33: { what: 'an operator restarts the owner', staged: also(here('meanwhile'), gone, '33: that is started') },
  34: { what: 'an operator edits the tags', staged: here('meanwhile') },
  35: {
    what: 'the owner is terminated meanwhile',
    staged: also(here('meanwhile'), gone, '35: is detached by EC2'),
  },
  36: {
    what: 'the volume is deleted with its instance',
    staged: also(here('meanwhile'), decide, 'to be deleted with its volumes (36)'),
  },
  37: {
    what: 'a spot interruption is announced',
    staged: also(here('stuck'), 'test/e2e/drain.test.ts', '37 by a spot interruption notice'),
  },
  38: { what: 'a stopped spot instance is restarted by EC2', staged: here('returning') },
  39: {
    what: 'EC2 recovers the owner on its own',
    staged: also(here('returning'), stonith, '39: that was started anew'),
  },
  40: {
    what: 'the owner may not be stopped',
    staged: also(here('meanwhile'), refused, '40: when the role may not call'),
  },
  41: { what: 'a stop is stuck', staged: also(here('stuck'), stonith, '41: that does not stop by force either') },
  42: { what: 'writes arrive after a forced stop', staged: also(here('stuck'), gone, '42: stopped by its host') },
  43: { what: 'a detach is stuck', staged: also(here('stuck'), detach, '43: that is stuck is forced') },
  44: {
    what: 'an attach is stuck',
    staged: also(here('refusals'), faults, 'undoes an attachment that never completes, and takes another device name'),
  },
  45: { what: 'the volume is in another zone', staged: here('refusals') },
  46: { what: 'the taker is full', staged: also(here('refusals'), takeover, '46: nobody is fenced') },
  47: { what: 'a Multi-Attach volume', staged: here('refusals') },
  48: { what: 'the volume’s I/O is disabled (staged: its reads fail)', staged: here('refusals') },
  49: { what: 'the KMS key is disabled (staged: the attach is refused, or given up)', staged: here('refusals') },
  50: {
    what: 'the filesystem needs a person',
    staged: also(
      here('refusals'),
      'test/e2e/disk-contents.test.ts',
      'its ext4 needs a person: not a byte is written, and the message says snapshot first and what to run',
    ),
  },
  51: {
    what: 'another disk has the name',
    staged: also(
      here('stuck'),
      'test/host/devices.test.ts',
      'a link to another volume is refused, and so is another disk of the right name',
    ),
  },
  52: { what: 'a ghost mount is in the way', staged: also(here('stuck'), faults, ghost) },
  53: { what: 'the volume is AWS’s', staged: also(here('refusals'), takeover, '53: a volume that AWS manages') },
  54: { what: 'EC2 does not list the owner', staged: also(here('refusals'), takeover, '54: keeps its volume') },
  55: { what: 'many fail at once', staged: here('storms') },
  56: { what: 'two sick nodes take turns', staged: also(here('storms'), refused, '56: a fourth time in an hour') },
  57: {
    what: 'daemons of several versions',
    staged: also(here('refusals'), decide, 'described by another version (57)'),
  },
  58: { what: 'tags cannot be written', staged: also(here('refusals'), refused, '58: when the announcement') },
  59: { what: 'one node wants the volume twice', staged: here('meanwhile') },
  60: { what: 'the caller leaves', staged: here('machines', 'meanwhile') },
  61: { what: 'a Mount comes after the clean tag', staged: here('returning') },
  62: {
    what: 'the owner’s journal is lost',
    staged: also(
      here('returning'),
      'test/volumes/lifecycle/adopt.test.ts',
      'what is attached and not mounted is released',
    ),
  },
  63: {
    what: 'the owner’s daemon restarts in the same boot',
    staged: also(here('returning'), 'test/crash/restart.test.ts', 'keeps holders and mounts after kill -9'),
  },
};
