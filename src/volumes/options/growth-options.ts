import { tagKeys } from '../../ebs/tags.ts';
import type { Tags } from '../../ebs/types.ts';
import { type CreateOptions, readOption } from './options.ts';

/** The options that say how a volume grows by itself, and their tags. */
export const growthOptionTags = {
  autoGrow: tagKeys.autoGrow,
  autoGrowBy: tagKeys.autoGrowBy,
  autoGrowMax: tagKeys.autoGrowMax,
} as const satisfies Partial<Record<keyof CreateOptions, string>>;

type GrowthOption = keyof typeof growthOptionTags;
export const growthOptions = Object.keys(growthOptionTags) as GrowthOption[];

/** How a volume grows by itself. */
export interface AutoGrow {
  /** The part of its bytes or inodes, 0 to 1, at which it grows. */
  readonly at: number;
  /** By at least so much: a part of its size, or GiB. */
  readonly by: { readonly part: number } | { readonly gib: number };
  /** GiB: never beyond. */
  readonly maxGib: number;
}

const fallbackBy = '20%';
const partOf = (percent: string): number => Number.parseInt(percent, 10) / 100;

/** The tags of the options that were given. */
export function growthTags(options: Pick<CreateOptions, GrowthOption>): Tags {
  return Object.fromEntries(
    growthOptions.flatMap((option) => {
      const value = options[option];
      return value === undefined ? [] : [[growthOptionTags[option], String(value)]];
    }),
  );
}

/** Of a volume's or a snapshot's tags, those that hold the options. */
export const growthTagsIn = (tags: Tags): Tags =>
  Object.fromEntries(
    Object.values(growthOptionTags).flatMap((key) => (tags[key] === undefined ? [] : [[key, tags[key]]])),
  );

/** The options that tags hold, as they were given. */
export const growthTold = (tags: Tags): Record<string, string> =>
  Object.fromEntries(Object.entries(growthTagsIn(tags)).map(([key, value]) => [optionOfTag(key), value]));

/** The option that a tag holds. */
export const optionOfTag = (key: string): string => growthOptions.find((each) => growthOptionTags[each] === key) ?? key;

/** Why options do not go together, as a clause, and what to do; undefined where they do. */
export function growthComplaint({
  autoGrow,
  autoGrowBy,
  autoGrowMax,
  size,
}: { readonly [K in GrowthOption | 'size']?: CreateOptions[K] | undefined }): [why: string, todo: string] | undefined {
  if (autoGrow === undefined) {
    const given = autoGrowBy === undefined ? (autoGrowMax === undefined ? undefined : 'autoGrowMax') : 'autoGrowBy';
    return given && [`${given} says nothing without autoGrow`, 'Give autoGrow, as 80%, or leave it out'];
  }
  if (autoGrowMax === undefined) {
    return ['autoGrow needs a limit: a volume never becomes smaller, nor cheaper, again', 'Give autoGrowMax, in GiB'];
  }
  if (size !== undefined && autoGrowMax < size) {
    return [`autoGrowMax ${autoGrowMax} is below its size, ${size} GiB`, 'Give at least its size'];
  }
  return undefined;
}

/**
 * How a volume grows by itself, from its tags; undefined where it does not. @throws BadValue for a tag that holds what is
 * not taken: anybody who may tag volumes can write there.
 */
export function readAutoGrow(tags: Tags): AutoGrow | undefined {
  const text = tags[tagKeys.autoGrow];
  const most = tags[tagKeys.autoGrowMax];
  if (text === undefined || most === undefined) return undefined;
  const by = readOption('autoGrowBy', tags[tagKeys.autoGrowBy] ?? fallbackBy);
  return {
    at: partOf(readOption('autoGrow', text)),
    by: by.endsWith('%') ? { part: partOf(by) } : { gib: Number(by) },
    maxGib: readOption('autoGrowMax', most),
  };
}
