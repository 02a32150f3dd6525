/** What a volume's tag says of a snapshot that another node asks its owner for. Pure. */
import { tagKeys } from '../../ebs/tags.ts';
import type { Attachment, Tags } from '../../ebs/types.ts';

/** A snapshot that is asked for. */
export interface Asked {
  /** Unique; the snapshot carries it. */
  readonly request: string;
  /** RFC 3339. */
  readonly at: string;
  /** The instance that asks. */
  readonly by: string;
  /** What the snapshot is to be called. */
  readonly name: string;
  /** Why the owner has taken none, as a clause; undefined while it has not answered. */
  readonly refused: string | undefined;
}

/** A request is not answered after this, in milliseconds: whoever asked has given up by then. */
export const askedForMs = 600_000;
/** In the place of who asks: the owner's answer. */
const refusal = 'refused';
const longest = 256;

/** The value of the tag. */
export function askedTag({ request, at, by, name, refused }: Asked): string {
  const words = refused === undefined ? [by, name] : [refusal, name, refused.replaceAll(/[^\w .,:;'()/@+=-]/g, ' ')];
  return [request, at, ...words].join(' ').slice(0, longest).trimEnd();
}

/** What the tag says; undefined where there is none, or one that no node has written. */
export function readAsked(tags: Tags): Asked | undefined {
  const text = tags[tagKeys.snapshotWanted];
  const [, request, at, by, name, refused] =
    /^([\w-]{1,64}) (\S+Z) (\S+) ([\w.@+:-]{1,100})(?: (.*))?$/.exec(text ?? '') ?? [];
  if (request === undefined || at === undefined || by === undefined || name === undefined) return undefined;
  if (Number.isNaN(Date.parse(at))) return undefined;
  return { request, at, by, name, refused: by === refusal ? (refused ?? 'it does not say why') : undefined };
}

/** The value of the tag by which an owner says how often it looks for requests. */
export const looksTag = (instanceId: string, seconds: number): string => `${instanceId} ${seconds}`;

/** How often the owner of a volume looks for requests, in seconds; undefined where it has not said that it does. */
export function looksOf(tags: Tags, { instanceId }: Pick<Attachment, 'instanceId'>): number | undefined {
  const [by, seconds] = tags[tagKeys.looks]?.split(' ') ?? [];
  const every = Number(seconds);
  return by !== undefined && by === instanceId && every > 0 ? every : undefined;
}
