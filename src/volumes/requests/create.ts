import { setTimeout as sleep } from 'node:timers/promises';
import { tagKeys } from '../../ebs/tags.ts';
import type { CreateVolumeSpec, EbsVolume, Tags } from '../../ebs/types.ts';
import { isGone } from '../../ebs/volume-record.ts';
import { DriverError, isCode } from '../../errors.ts';
import { beyondLimits, type Performance } from '../options/limits.ts';
import { encodeName, refuseUnremovable } from '../options/names.ts';
import { type CreateOptions, parseOptions, refuseOptions } from '../options/options.ts';
import { clientToken, differences, planVolume } from '../options/plan.ts';
import { type Held, heldAs } from '../state/held.ts';
import { hasLostTags, lastingTags, tagsLost } from '../state/lost-tags.ts';
import { refuseNameless } from '../state/nameless.ts';
import { type Node, waiting } from '../state/node.ts';
import { afterDoubt, lookMs, shownOnce, untilOnlyOne } from './one-of-name.ts';
import { bySnapshot, cannotCopy, haveServed, type Source, sourceOf } from './source.ts';
import { refuseImpossibleFormat } from './try-mkfs.ts';

/** A name is made, removed and made again at most this often while EC2 remembers its tokens (about 12 h). */
const maxGenerations = 200;

/**
 * Makes the volume of a name, or finds that it is there as asked. Nodes that race on one name get one EBS volume: they
 * ask with the same ClientToken, and EC2 refuses or repeats itself; where it does neither, they settle it among themselves.
 * @throws DriverError INVALID_OPTION, INVALID_NAME, EXISTS_DIFFERENT, WRONG_ZONE, AMBIGUOUS_NAME, CREATE_VANISHED, EC2_*.
 */
export async function createVolume(node: Node, name: string, raw: Readonly<Record<string, string>>): Promise<void> {
  const options = parseOptions(name, raw);
  if (options.overwriteFs) node.log.warn({ volume: name }, 'overwriteFs has no effect: only a blank disk is formatted');
  const asksForCopy = options.from !== undefined || options.fromSnapshot !== undefined;
  // What is wrong with them is told before EC2 is asked anything.
  const unsourced = asksForCopy ? { made: { snapshotId: undefined }, tags: {} } : undefined;
  planVolume(name, options, node.settings, node.zone, unsourced);
  const held = heldAs(node.held, name);
  const existing = held === undefined ? await whatIsShown(node, name) : await asItIs(node, held, options);
  if (existing !== undefined) return refuseDifferent(node, name, options, existing);
  refuseUnremovable(name);
  let source = await sourceOf(node, name, options);
  let spec = planned(node, name, options, source);
  await refuseImpossibleFormat(node, name, options, spec);
  warnOfBeyond(node, name, spec);

  let doubtful = false;
  for (let generation = node.names.nextGeneration(name); generation < maxGenerations; generation++) {
    const outcome = await makeOne(node, name, spec, generation, doubtful).catch(async (error: unknown) => {
      source = await instead(node, name, options, spec, error);
      spec = planned(node, name, options, source);
      return makeOne(node, name, spec, generation, doubtful);
    });
    if (outcome === 'past') continue;
    if (outcome === 'unseen') {
      doubtful = true;
      continue;
    }
    if ('rival' in outcome) return refuseDifferent(node, name, options, outcome.rival);
    node.names.made(name, outcome.made);
    node.expires(outcome.made);
    if (source !== undefined) await haveServed(node, name, source);
    warnOfEncrypted(node, name, options, outcome.made);
    // Its maker counts on it from the answer on: a restart while EC2 is down must not make dockerd forget it.
    await node.names.saved();
    return;
  }
  throw new DriverError('EC2_TOKEN_REUSED', {
    volume: name,
    tried: 'create it',
    why: `EC2 remembers ${maxGenerations} earlier volumes of this name`,
    todo: 'Choose another name, or wait until EC2 has forgotten them (about 12 hours)',
  });
}

/** What to ask of EC2, with what the source brings where the options are silent. */
function planned(node: Node, name: string, options: CreateOptions, source: Source | undefined) {
  if (source === undefined) return planVolume(name, options, node.settings, node.zone);
  const { iops, throughput, ...others } = source.inherited;
  const sameType = options.type === undefined || options.type === others.type;
  const all = { ...(sameType ? source.inherited : others), ...options };
  if (all.size !== undefined && all.size < source.leastGib) {
    const why = `size is ${all.size} GiB, and what it is made from has ${source.leastGib}`;
    refuseOptions(name, why, `Give at least ${source.leastGib}, or leave size out`);
  }
  return planVolume(name, all, node.settings, node.zone, source);
}

/** The snapshot that does where EC2 does not copy a volume. @throws `error` where that does not help. */
async function instead(
  node: Node,
  name: string,
  options: CreateOptions,
  { sourceVolumeId }: Omit<CreateVolumeSpec, 'clientToken'>,
  error: unknown,
): Promise<Source> {
  const source =
    sourceVolumeId === undefined || !cannotCopy(error) ? undefined : await node.ec2.describeVolume(sourceVolumeId);
  if (source === undefined || options.from === undefined) throw error;
  node.log.warn({ volume: name, from: options.from, err: error }, 'EC2 does not copy it: a snapshot is taken instead');
  return bySnapshot(node, name, options.from, source, options);
}

function warnOfBeyond({ log }: Node, volume: string, performance: Performance): void {
  const beyond = beyondLimits(performance);
  if (beyond.length > 0) log.warn({ volume, beyond }, 'more than this version knows to be possible: EC2 decides');
}

function warnOfEncrypted({ log }: Node, volume: string, options: CreateOptions, { id, encrypted }: EbsVolume): void {
  if (options.encrypted !== false || !encrypted) return;
  log.warn({ volume, volumeId: id }, 'encrypted all the same: the account encrypts by default, or the snapshot is');
}

const whatIsShown = (node: Node, name: string): Promise<EbsVolume | undefined> =>
  waiting(node, name, 'EC2 to tell which EBS volume has this name', () => shownOnce(node, name));

/**
 * A volume held here, as EC2 has it where its record may be behind: another node, or a person, may have modified it. Where
 * EC2 cannot be asked its record is what is known.
 */
async function asItIs(node: Node, held: Held, { size, type, iops, throughput }: CreateOptions): Promise<EbsVolume> {
  if ([size, type, iops, throughput].every((asked) => asked === undefined)) return held.volume;
  const seen = await node.ec2.describeVolume(held.volume.id).catch(() => undefined);
  return seen === undefined ? held.volume : { ...seen, tags: { ...held.volume.tags, ...seen.tags } };
}

function refuseDifferent(node: Node, name: string, options: CreateOptions, volume: EbsVolume): void {
  const differing = differences(options, volume);
  if (volume.zone !== node.zone) differing.unshift(`it is in ${volume.zone} and this node is in ${node.zone}`);
  if (differing.length === 0) return;
  throw new DriverError(volume.zone === node.zone ? 'EXISTS_DIFFERENT' : 'WRONG_ZONE', {
    volume: name,
    tried: 'create it as asked',
    why: `${volume.id} has this name already, and differs: ${differing.join('; ')}`,
    todo:
      volume.zone === node.zone
        ? 'Ask for what it is, or choose another name'
        : `Run the container on a node in ${volume.zone}, or choose another name`,
  });
}

/**
 * What a token led to: our volume; one that another node makes or has made of this name; `past`, a volume that is gone
 * or retained; `unseen`, a volume that EC2 does not show: of the past, or too new to be seen.
 */
type TokenOutcome = { readonly made: EbsVolume } | { readonly rival: EbsVolume } | 'past' | 'unseen';

/**
 * One try with one generation's token.
 * @param doubtful an earlier token may have led to a volume that EC2 does not show yet: that is waited for once a create.
 */
async function makeOne(
  node: Node,
  name: string,
  spec: Omit<CreateVolumeSpec, 'clientToken'>,
  generation: number,
  doubtful: boolean,
): Promise<TokenOutcome> {
  const token = clientToken(node.settings.cluster, name, generation);
  const tags = { ...spec.tags, [tagKeys.generation]: String(generation) };
  try {
    const answer = await waiting(node, name, 'EC2 to accept a new volume', () =>
      node.ec2.createVolume({ ...spec, tags, clientToken: token }),
    );
    // EC2 repeats itself also to a node of another zone, where the token is remembered for the region.
    const isRepeated = answer.state !== 'creating' || answer.zone !== spec.zone;
    if (isRepeated) return await judgeReplay(node, name, answer.id, tags, !doubtful);
    const only = await untilOnlyOne(node, name, answer, true);
    if (only.tags[tagKeys.name] !== spec.tags[tagKeys.name]) return await judgeSeen(node, name, only, tags);
    const made = doubtful && only.id === answer.id ? await afterDoubt(node, name, only) : only;
    if (made.id !== answer.id) return { rival: made };
    node.log.info({ volume: name, volumeId: made.id, sizeGib: made.sizeGib, type: made.type }, 'created');
    return { made };
  } catch (error) {
    if (!isCode(error, 'EC2_TOKEN_REUSED')) throw error;
    return judgeRefusal(node, name, error, !doubtful);
  }
}

/**
 * The token is taken: by another node at this moment, or by a volume of the past. EC2 says "already deleted" where all
 * else is as before, and only "inconsistent" where the parameters differ too (aws-ebs-csi-driver#1951, #1428).
 */
async function judgeRefusal(node: Node, name: string, error: DriverError, patient: boolean): Promise<TokenOutcome> {
  if (/deleted/.test(error.parts.why)) return 'past';
  return waiting(node, name, 'a volume of this name that another node may be making', async () => {
    for (let waited = 0; ; waited += lookMs) {
      const volume = await shownOnce(node, name);
      if (volume !== undefined) return { rival: await untilOnlyOne(node, name, volume, false) };
      if (!patient || waited >= node.visibleMs) break;
      await sleep(lookMs);
    }
    await refuseNameless(node, name, 'create it');
    return 'unseen';
  });
}

/**
 * CreateVolume repeated an earlier answer: what became of that volume since, a read must tell. EC2 refuses the token of
 * one that was deleted, so a read that shows none is most likely behind, and another node has just made it.
 */
async function judgeReplay(
  node: Node,
  name: string,
  volumeId: string,
  tags: Tags,
  patient: boolean,
): Promise<TokenOutcome> {
  return waiting(node, name, `EC2 to show ${volumeId}, which another node may have made`, async () => {
    for (let waited = 0; ; waited += lookMs) {
      const volume = await node.ec2.describeVolume(volumeId);
      if (volume !== undefined) return judgeSeen(node, name, volume, tags);
      if (!patient || waited >= node.visibleMs) return 'unseen';
      await sleep(lookMs);
    }
  });
}

async function judgeSeen(node: Node, name: string, volume: EbsVolume, tags: Tags): Promise<TokenOutcome> {
  if (isGone(volume)) return 'past';
  if (hasLostTags(volume, name)) {
    throw tagsLost(name, volume, lastingTags(tags), 'create it', 'EC2 made it for this name, and answers so again');
  }
  // The token of a volume that was removed but retained gives that volume again: it is not ours to hand out.
  if (volume.tags[tagKeys.name] !== encodeName(name)) return 'past';
  return { rival: await untilOnlyOne(node, name, volume, false) };
}
