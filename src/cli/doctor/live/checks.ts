import { chooseDeviceName, deviceNames } from '../../../ebs/device-names.ts';
import type { Instance } from '../../../ebs/types.ts';
import { type DriverError, isCode, toDriverError } from '../../../errors.ts';
import type { Answer, LiveCheck } from './check.ts';
import { tagChecks } from './tag-checks.ts';
import type { CheckVolume } from './volume.ts';

/** What EC2 made of a call: what it gave, or its refusal. @throws what is no error of EC2 */
async function outcome<T>(call: Promise<T>): Promise<{ readonly gave: T } | { readonly refused: DriverError }> {
  try {
    return { gave: await call };
  } catch (error) {
    const refused = toDriverError(error, 'ask EC2');
    if (isCode(refused, 'EC2_DENIED', 'EC2_UNAVAILABLE', 'EC2_THROTTLED', 'EC2_CREDENTIALS', 'INTERNAL')) throw refused;
    return { refused };
  }
}

/** A call that must be refused with one of these codes. */
async function refusedAs(call: Promise<unknown>, ...codes: readonly DriverError['code'][]): Promise<Answer> {
  const result = await outcome(call);
  if ('gave' in result) return { answered: 'EC2 accepted it', agrees: false };
  return { answered: result.refused.parts.why, agrees: codes.includes(result.refused.code) };
}

/** Under the name that a daemon would choose last. */
async function keyOf(volume: CheckVolume) {
  const { ec2, instanceId } = volume.place;
  const taken = new Set((await ec2.describeInstance(instanceId))?.disks.map(({ device }) => device));
  const device = chooseDeviceName({ taken, recent: [...deviceNames].reverse() });
  return { volumeId: volume.id, instanceId, device: device ?? '/dev/xvdba' };
}

const diskOf = (instance: Instance | undefined, id: string) => instance?.disks.find(({ volumeId }) => volumeId === id);

const beforeAttaching: readonly LiveCheck[] = [
  {
    title: 'same token',
    asked: 'CreateVolume a second time, with the same ClientToken and parameters',
    assumes: 'the same volume is the answer: nodes that race on a name get one volume',
    async run(volume) {
      const { id } = await volume.create({});
      return {
        answered: id === volume.id ? `${id}, as the first time` : `another volume, ${id}`,
        agrees: id === volume.id,
      };
    },
  },
  {
    title: 'other parameters',
    asked: 'CreateVolume with the same ClientToken and 2 GiB',
    assumes: 'it is refused: IdempotentParameterMismatch',
    run: (volume) => refusedAs(volume.create({ sizeGib: 2 }), 'EC2_TOKEN_REUSED'),
  },
  {
    title: 'other zone',
    asked: 'CreateVolume with the same ClientToken in another zone of the region',
    assumes: 'nothing: after each creation the driver looks by name, whether tokens count in a zone or in the region',
    run: inOtherZone,
  },
  {
    title: 'not attached',
    asked: 'DetachVolume of a volume that is attached to nothing',
    assumes: 'it is refused: IncorrectState or InvalidAttachment.NotFound',
    async run(volume) {
      return refusedAs(volume.place.ec2.detachVolume(await keyOf(volume)), 'EC2_INCORRECT_STATE', 'EC2_NOT_ATTACHED');
    },
  },
  {
    title: 'dry run',
    asked: 'AttachVolume as a dry run, with the device name /dev/xvdzz',
    assumes: 'nothing: the driver asks with values that would pass, whether EC2 looks at them or at the role first',
    async run(volume) {
      const key = { ...(await keyOf(volume)), device: '/dev/xvdzz' };
      const result = await outcome(volume.place.ec2.denied({ action: 'AttachVolume', key }));
      if ('refused' in result) return { answered: `parameters come first: ${result.refused.parts.why}`, agrees: true };
      const role = result.gave === undefined ? 'the call would have succeeded' : result.gave;
      return { answered: `parameters do not count: ${role}`, agrees: true };
    },
  },
];

async function inOtherZone(volume: CheckVolume): Promise<Answer> {
  const { zone } = volume.place;
  for (const letter of [...'abcdef'].filter((each) => !zone.endsWith(each))) {
    const other = zone.replace(/.$/, letter);
    const result = await outcome(volume.create({ zone: other }));
    if ('refused' in result) {
      const { code, parts } = result.refused;
      // The account has no such zone.
      if (code === 'EC2_REJECTED') continue;
      return { answered: `${other}: ${parts.why}`, agrees: code === 'EC2_TOKEN_REUSED' };
    }
    const { id } = result.gave;
    const same = id === volume.id;
    const scope = same ? `${id} again: the token counts in the region` : `another volume, ${id}: it counts in a zone`;
    return { answered: `${other}: ${scope}`, agrees: true };
  }
  return { answered: 'this account has no other zone in the region', agrees: undefined };
}

const whileAttached: readonly LiveCheck[] = [
  {
    title: 'attach time',
    asked: 'AttachVolume to this instance, and DescribeVolumes once it is attached',
    assumes: 'both give the same attach time, to the second',
    async run(volume, signal) {
      const first = await volume.place.ec2.attachVolume(await keyOf(volume));
      const later = await volume.attached(signal);
      const agrees = first.attachTime === later.attachTime;
      return { answered: `${first.attachTime}, then ${later.attachTime} (${later.device})`, agrees };
    },
  },
  {
    title: 'both sides',
    asked: "DescribeInstances about this instance's disks",
    assumes: 'it gives the attach time that DescribeVolumes gives',
    async run(volume, signal) {
      const { attachTime } = await volume.attached(signal);
      const { ec2, instanceId } = volume.place;
      const disk = diskOf(await ec2.describeInstance(instanceId), volume.id);
      if (disk === undefined) return { answered: 'the instance does not show the disk yet', agrees: undefined };
      return { answered: `${disk.attachTime} there, ${attachTime} here`, agrees: disk.attachTime === attachTime };
    },
  },
  {
    title: 'attach twice',
    asked: 'AttachVolume of the volume that is attached, under another device name',
    assumes: 'it is refused: VolumeInUse. The attachment is the lock',
    async run(volume) {
      return refusedAs(volume.place.ec2.attachVolume(await keyOf(volume)), 'EC2_VOLUME_IN_USE');
    },
  },
  {
    title: 'wrong device',
    asked: 'DetachVolume with the name of this instance and a device that is not the one of the attachment',
    assumes: 'it is refused, and the volume stays attached',
    async run(volume, signal) {
      const wrong = await keyOf(volume);
      const answer = await refusedAs(volume.place.ec2.detachVolume(wrong), 'EC2_NOT_ATTACHED', 'EC2_INCORRECT_STATE');
      const { state } = await volume.attached(signal);
      return { ...answer, answered: `${answer.answered}; it is ${state}` };
    },
  },
  {
    title: 'detach',
    asked: 'DetachVolume with all three names',
    assumes: 'the volume is available within a minute, by itself',
    async run(volume) {
      const began = performance.now();
      await volume.detach();
      const { state } = await volume.read();
      const seconds = ((performance.now() - began) / 1000).toFixed(1);
      return { answered: `${state} after ${seconds} s`, agrees: state === 'available' };
    },
  },
];

const afterDeletion: LiveCheck = {
  title: 'spent token',
  asked: 'CreateVolume with the ClientToken of the volume, once that is deleted',
  assumes:
    'it is refused: IdempotentParameterMismatch, which says that the volume is deleted or that something differs',
  async run(volume) {
    await volume.deleteAll();
    return refusedAs(volume.create({}), 'EC2_TOKEN_REUSED');
  },
};

/** All of them, in the order in which they are made: the last one deletes the volume. */
export const liveChecks: readonly LiveCheck[] = [...beforeAttaching, ...tagChecks, ...whileAttached, afterDeletion];
