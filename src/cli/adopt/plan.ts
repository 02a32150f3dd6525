import { tagKeys, tagPrefix } from '../../ebs/tags.ts';
import type { EbsVolume, Tags } from '../../ebs/types.ts';
import { attachmentOf, isGone, ownerText } from '../../ebs/volume-record.ts';
import { decodeName, encodeName } from '../../volumes/options/names.ts';
import { type Candidate, isOurs, judge, judgeAs, type Region } from './judge.ts';

/** What is to be done with one volume, or why nothing is. */
export type Step =
  | { readonly kind: 'adopt'; readonly candidate: Candidate; readonly tags: Tags; readonly clear: readonly string[] }
  | { readonly kind: 'give-back'; readonly volume: EbsVolume; readonly name: string; readonly clear: readonly string[] }
  | { readonly kind: 'done'; readonly volume: EbsVolume; readonly name: string }
  | { readonly kind: 'refused'; readonly word: string; readonly why: string; readonly todo: string };
type Refused = Extract<Step, { kind: 'refused' }>;

export interface Wishes {
  /** Names and ids of volumes. */
  readonly words: readonly string[];
  /** Every volume that is free; `words` is empty then. */
  readonly all: boolean;
  /** The name to adopt under, of the only volume among `words`. */
  readonly as: string | undefined;
  readonly zone: string | undefined;
  /** The directory that containers get; written down, so that every node gives the same. */
  readonly subdirectory: string;
  /** Whether that was said for these volumes, and is not only the setting. */
  readonly insists: boolean;
  /** RFC 3339. */
  readonly now: string;
}

const isId = (word: string): boolean => /^vol-[0-9a-f]{8,17}$/.test(word);

/** The volumes that could be adopted, in the zone that is asked for. */
export function candidatesOf(region: Region, { zone }: Pick<Wishes, 'zone'>): Candidate[] {
  return judge(region).filter(({ volume }) => zone === undefined || volume.zone === zone);
}

/** What adopting these volumes takes, a step for each; nothing is sent. */
export function planAdoption(region: Region, wishes: Wishes): Step[] {
  const candidates = candidatesOf(region, wishes);
  const chosen = wishes.all
    ? candidates
        .filter(({ verdict }) => verdict === 'free')
        .map((candidate) => adopting(candidate, wishes, region.cluster))
    : wishes.words.map((word) => stepFor(region, candidates, word, wishes));
  const ids = new Set<string>();
  return refuseNamesakes(chosen).filter((step) => {
    const id = step.kind === 'adopt' ? step.candidate.volume.id : undefined;
    return id === undefined || (!ids.has(id) && ids.add(id));
  });
}

function stepFor(region: Region, candidates: readonly Candidate[], word: string, wishes: Wishes): Step {
  const found = candidates.filter(({ volume, name }) => (isId(word) ? volume.id === word : name === word));
  const [only, ...others] = found;
  if (only === undefined) return settled(region, word, wishes) ?? unknown(candidates, word);
  if (others.length > 0) {
    const ids = found.map(({ volume: { id, zone } }) => `${id} (${zone})`);
    return refused(word, `several volumes have this name: ${ids.join(', ')}`, 'Choose one by its id');
  }
  const candidate = wishes.as === undefined ? only : judgeAs(region, only.volume, wishes.as);
  return refusal(word, candidate) ?? adopting(candidate, wishes, region.cluster);
}

function refusal(word: string, { volume, verdict, remarks }: Candidate): Step | undefined {
  const why = remarks.join('; ');
  if (verdict === 'never') return refused(word, why, 'Leave it, or change that first');
  if (verdict === 'rename')
    return refused(word, why, `Choose another name: the same command with ${volume.id} --as NAME`);
  if (verdict === 'by-id' && !isId(word)) {
    return refused(word, why, `If it is the one, choose it by its id: the same command with ${volume.id}`);
  }
  return undefined;
}

/** What is in the cluster already: nothing is to be done, or something else is wished than what it is. */
function settled(region: Region, word: string, { as, subdirectory, insists }: Wishes): Step | undefined {
  const members = membersOf(region);
  const volume = members.find(meant(word));
  if (volume === undefined) return undefined;
  const { [tagKeys.name]: encoded = '', [tagKeys.subdirectory]: directory } = volume.tags;
  const namesakes = members.filter(({ tags }) => tags[tagKeys.name] === encoded);
  if (namesakes.length > 1) return severalIn(word, namesakes);
  const name = decodeName(encoded) ?? encoded;
  const again = 'To change that give it back first (--undo), then adopt it again';
  if (as !== undefined && as !== name) {
    return refused(word, `${volume.id} is in the cluster already, as ${JSON.stringify(name)}`, again);
  }
  if (insists && directory !== subdirectory) {
    const is = `containers get its directory ${directory ?? 'that is set on their node'}`;
    return refused(word, `${volume.id} is in the cluster already, and ${is}`, again);
  }
  return { kind: 'done', volume, name };
}

/** The volumes that have a name in the cluster. */
const membersOf = ({ cluster, ours }: Region): EbsVolume[] =>
  ours.filter((volume) => isOurs(cluster, volume) && !isGone(volume));

const meant =
  (word: string) =>
  ({ id, tags }: EbsVolume): boolean =>
    isId(word) ? id === word : tags[tagKeys.name] === encodedOr(word);

function severalIn(word: string, volumes: readonly EbsVolume[]): Refused {
  const ids = volumes.map(
    ({ id, zone, tags }) => `${id} (${zone}, ${tags[tagKeys.adopted] ? 'adopted' : 'made here'})`,
  );
  return refused(
    word,
    `several volumes of the cluster have this name: ${ids.join(', ')}`,
    'Give an adopted one back by its id (--undo); for the others docker-volume-ebs ls tells how to keep one',
  );
}

function unknown(candidates: readonly Candidate[], word: string): Step {
  const similar = candidates.find(({ name }) => name.toLowerCase() === word.toLowerCase());
  return refused(
    word,
    isId(word) ? 'there is no such volume with a Name tag' : 'no volume has this in its Name tag',
    similar === undefined
      ? 'Run docker-volume-ebs adopt to see them all, and check the region'
      : `Names have upper and lower case here, unlike REX-Ray's: did you mean ${similar.name}`,
  );
}

function encodedOr(name: string): string | undefined {
  try {
    return encodeName(name);
  } catch {
    return undefined;
  }
}

const refused = (word: string, why: string, todo: string): Refused => ({ kind: 'refused', word, why, todo });

/** Tags of a volume that was ours before: they say that nobody has written to its disk since we made it, which may not be so. */
const outdated = [tagKeys.retained, tagKeys.removing, tagKeys.trash, tagKeys.generation, tagKeys.formatting];

function adopting(candidate: Candidate, { subdirectory, now }: Wishes, cluster: string): Step {
  const tags = {
    [tagKeys.cluster]: cluster,
    [tagKeys.name]: encodeName(candidate.name),
    [tagKeys.subdirectory]: subdirectory,
    [tagKeys.adopted]: now,
  };
  return { kind: 'adopt', candidate, tags, clear: outdated.filter((key) => key in candidate.volume.tags) };
}

/** Two of the chosen with one name: neither is adopted. */
function refuseNamesakes(steps: readonly Step[]): Step[] {
  const byName = Map.groupBy(steps, (step) => (step.kind === 'adopt' ? step.candidate.name : undefined));
  return steps.map((step) => {
    if (step.kind !== 'adopt') return step;
    const { volume, name } = step.candidate;
    const others = (byName.get(name) ?? []).filter((each) => each.kind === 'adopt' && each.candidate.volume !== volume);
    return others.length === 0
      ? step
      : refused(volume.id, `more than one of the chosen would be ${JSON.stringify(name)}`, 'Choose one of them');
  });
}

/** What giving adopted volumes back takes: they keep their Name tag, and none of the driver's. */
export function planGivingBack(region: Region, words: readonly string[]): Step[] {
  return words.map((word) => {
    const named = membersOf(region).filter(meant(word));
    const [volume, ...others] = named.length > 0 ? named : region.ours.filter(isHalfGiven(word));
    if (volume === undefined)
      return refused(word, 'the cluster has no such volume', 'Look for it with docker-volume-ebs ls');
    if (others.length > 0) return severalIn(word, [volume, ...others]);
    const owner = attachmentOf(volume);
    if (volume.tags[tagKeys.adopted] === undefined) {
      return refused(
        word,
        `${volume.id} was made by this driver, not adopted`,
        'Keep it: only what was adopted can be given back',
      );
    }
    if (owner !== undefined) {
      const who = ownerText(owner);
      return refused(
        word,
        `${who} has ${volume.id} attached`,
        'Stop the containers that use it, and wait until it is detached',
      );
    }
    const clear = Object.keys(volume.tags).filter((key) => key.startsWith(tagPrefix));
    return { kind: 'give-back', volume, name: word, clear };
  });
}

/** True for an adopted volume whose giving back has ended after its first step. */
const isHalfGiven =
  (word: string) =>
  (volume: EbsVolume): boolean =>
    volume.tags[tagKeys.name] === undefined &&
    volume.tags[tagKeys.adopted] !== undefined &&
    !isGone(volume) &&
    (isId(word) ? volume.id === word : volume.tags[tagKeys.displayName] === word);
