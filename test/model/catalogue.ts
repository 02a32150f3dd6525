/**
 * The values that a state only numbers: attachments, instance records and tags, as production reads them. A catalogue
 * belongs to one search; it grows while the search goes on.
 */
import { chooseDeviceName, deviceNames } from '../../src/ebs/device-names.ts';
import { cleanMark, tagKeys } from '../../src/ebs/tags.ts';
import type { Attachment, Instance, Tags } from '../../src/ebs/types.ts';
import { intentKey, intentTag, ownerTag } from '../../src/fencing/records.ts';
import { instanceWith } from '../support/fake-volume.ts';
import type { NodeName, Power } from './state.ts';

export const volumeId = 'vol-1';
export const instanceId = (node: NodeName): string => `i-${node.toLowerCase()}`;

/** EC2's second number n, RFC 3339. */
const timeOf = (second: number): string => `2026-01-01T00:00:${String(second).padStart(2, '0')}Z`;

/** One attachment, from AttachVolume to its end. */
export interface Lease {
  readonly owner: NodeName;
  readonly attachment: Attachment & { readonly instanceId: string };
}

/** The volume's tags that matter; leases by number, 0 is none. */
export interface TagSet {
  /** Declared finished by its holder. */
  readonly clean: number;
  /** What was announced, by intent tag. */
  readonly intents: readonly number[];
  readonly tags: Tags;
}

export interface Catalogue {
  lease(number: number): Lease;
  record(number: number): Instance;
  tagSet(number: number): TagSet;
  /** `nth` counts the owner's attachments from 0, `leases` everybody's: it tells apart what EC2's own fields do not. */
  leaseNumber(owner: NodeName, nth: number, leases: number, second: number): number;
  /** A's record; `mapped` is the attachment it lists, 0 for none. */
  recordNumber(power: Power, mapped: number, launched: number): number;
  tagNumber(clean: number, intents: readonly number[]): number;
}

const states: Readonly<Record<Power, Pick<Instance, 'state' | 'stateReason'>>> = {
  running: { state: 'running', stateReason: undefined },
  stopping: { state: 'stopping', stateReason: 'Client.UserInitiatedShutdown' },
  stopped: { state: 'stopped', stateReason: 'Client.UserInitiatedShutdown' },
  asleep: { state: 'stopped', stateReason: 'Client.UserInitiatedHibernate' },
};

/** @param names how many device names A has to choose from. */
export function createCatalogue(names: number): Catalogue {
  const devices = devicesInOrder(names);
  const leases = createNumbering<Lease>(255);
  const records = createNumbering<Instance>(4095);
  const tagSets = createNumbering<TagSet>(4095);
  leases.number(0, () => ({ owner: 'A', attachment: attachmentOf('A', '', 0) }));
  const markOf = (lease: number): Tags =>
    lease === 0 ? {} : { [tagKeys.clean]: cleanMark(leases.value(lease).attachment) };
  const intentOf = (lease: number | undefined, tag: number): Tags =>
    lease ? { [intentKey(`i-${tag}`, 'f-1')]: intentText(leases.value(lease), `i-${tag}`) } : {};
  return {
    lease: leases.value,
    record: records.value,
    tagSet: tagSets.value,
    leaseNumber: (owner, nth, serial, second) =>
      leases.number(((serial * 8 + nth) * 4 + owner.charCodeAt(0) - 65) * 32 + second, () => ({
        owner,
        attachment: attachmentOf(owner, devices(nth), second),
      })),
    recordNumber: (power, mapped, launched) =>
      records.number((mapped * 32 + launched) * 4 + Object.keys(states).indexOf(power), () => ({
        ...instanceWith({ id: instanceId('A'), ...states[power], launchTime: timeOf(launched) }),
        tags: { [tagKeys.cluster]: 'c' },
        disks: mapped === 0 ? [] : [diskOf(leases.value(mapped).attachment)],
      })),
    tagNumber: (clean, intents) =>
      tagSets.number(
        intents.reduce((key, intent, tag) => key + intent * 64 ** (tag + 1), clean),
        () => ({ clean, intents, tags: Object.assign({}, markOf(clean), ...intents.map(intentOf)) }),
      ),
  };
}

/** The names of A's attachments in order, as production chooses them: `names` are free, and A remembers those it used. */
function devicesInOrder(names: number): (nth: number) => string {
  const taken = new Set(deviceNames.slice(names));
  const used: string[] = [];
  return (nth) => {
    while (used.length <= nth) used.push(chooseDeviceName({ taken, recent: used }) ?? '');
    return used[nth]!;
  };
}

function attachmentOf(owner: NodeName, device: string, second: number): Lease['attachment'] {
  return {
    volumeId,
    instanceId: instanceId(owner),
    device,
    state: 'attached',
    attachTime: timeOf(second),
    deleteOnTermination: false,
  };
}

const diskOf = ({ device, attachTime, state }: Attachment): Instance['disks'][number] => ({
  device,
  volumeId,
  state,
  attachTime,
});

/** The tag by which a lease's owner says who it is. */
export function stampOf({ owner, attachment }: Lease): Tags {
  return { [tagKeys.owner]: ownerTag({ ...attachment, boot: 'b', scheduler: `mesos:${owner}` }) };
}

function intentText({ attachment }: Lease, taker: string): string {
  const { device, attachTime } = attachment;
  return intentTag({
    fenceId: 'f',
    taker,
    victim: attachment.instanceId,
    device,
    attachTime,
    launchTime: undefined,
    policy: 'instance-not-running',
    evidence: 'stopped',
  });
}

/** Numbers values from 0 in the order in which their keys are first seen; no more than a state's cells have room for. */
function createNumbering<T>(most: number) {
  const numbers = new Map<number, number>();
  const values: T[] = [];
  return {
    value: (number: number): T => values[number]!,
    number(key: number, make: () => T): number {
      const known = numbers.get(key);
      if (known !== undefined) return known;
      if (values.length === most) throw new Error(`more than ${most} values of a kind`);
      numbers.set(key, values.length);
      return values.push(make()) - 1;
    },
  };
}
