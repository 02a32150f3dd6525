import type { CallRecord } from '../src/sandbox/calls.ts';
import type { Moment } from '../src/sandbox/moments.ts';

/** What one run of an operation took. */
export interface Sample {
  readonly wallMs: number;
  /** The nodes' EC2 calls, refused ones too, in order. */
  readonly calls: readonly CallRecord[];
  readonly ec2Ms: number;
}

/** The calls that EC2 refused because the account had made too many. */
export const throttledOf = ({ calls }: Pick<Sample, 'calls'>): CallRecord[] =>
  calls.filter(({ result }) => result === 'RequestLimitExceeded');

/** From when until when, in milliseconds since 1970. */
interface Span {
  readonly from: number;
  readonly to: number;
}

/** The moment at which an action has had its effect. A disk is usable before EC2 calls it attached. */
const effects: Readonly<Record<string, Moment['what']>> = {
  CreateVolume: 'created',
  AttachVolume: 'plugged',
  DetachVolume: 'detached',
};

/**
 * How long EC2 was at work within a span: from accepting a call to its effect, work on several volumes at once counted
 * once. What has had no effect by the end of the span counts up to there.
 */
export function ec2Time(calls: readonly CallRecord[], moments: readonly Moment[], span: Span): number {
  const work = calls.flatMap(({ action, volume, result, time }): Span[] => {
    const what = effects[action];
    if (what === undefined || result !== 'OK') return [];
    const from = Date.parse(time);
    const effect = moments.find((moment) => moment.what === what && moment.volume === volume && moment.at >= from);
    return [{ from, to: effect?.at ?? span.to }];
  });
  const within = work.map(({ from, to }) => ({ from: Math.max(from, span.from), to: Math.min(to, span.to) }));
  return unionLength(within.filter(({ from, to }) => from < to));
}

/** The length of what the spans cover together. */
function unionLength(spans: readonly Span[]): number {
  let covered = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    if (to <= end) continue;
    covered += to - Math.max(from, end);
    end = to;
  }
  return covered;
}
