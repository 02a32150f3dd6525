import type { FenceHistory } from '../../volumes/types.ts';

/** What fencing has counted, as one sentence part for people: what did not happen is left out. Pure. */
export function summaryOf(counters: FenceHistory['counters']): string {
  const { stops, forcedDetaches, lostRaces, aborted } = counters;
  const all = [
    ...Object.entries(counters.decisions).map(([key, count]) => decisionText(key, count)),
    ...Object.entries(counters.refusals).map(([what, count]) => `refused ${times(count)} because of: ${what}`),
    counted(stops.graceful, 'owner stopped', 'owners stopped'),
    counted(stops.forced, 'owner stopped by force', 'owners stopped by force'),
    counted(forcedDetaches, 'volume detached by force', 'volumes detached by force'),
    counted(lostRaces, 'takeover lost to another node', 'takeovers lost to another node'),
    counted(aborted, 'takeover given up', 'takeovers given up'),
  ].filter((text) => text !== undefined);
  return all.length === 0 ? 'no decision about another owner' : all.join('; ');
}

/** What was decided, by the outcomes of fencing/decide.ts. */
const outcomes: Readonly<Record<string, string>> = {
  take: 'to take the volume over',
  stop: 'to stop the owner first',
  pull: 'to take the volume from under its owner',
  wait: 'to wait',
  refuse: 'to refuse',
};

/** Of a key "policy evidence outcome"; a dash stands for no evidence. */
function decisionText(key: string, count: number): string {
  const [policy = '', ...rest] = key.split(' ');
  const outcome = rest.pop() ?? '';
  const evidence = rest.join(' ');
  const on = evidence === '-' || evidence === '' ? '' : `, evidence: ${evidence}`;
  return `decided ${times(count)} ${outcomes[outcome] ?? `to ${outcome}`} (policy ${policy}${on})`;
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

const counted = (count: number, one: string, more: string): string | undefined =>
  count === 0 ? undefined : `${count} ${count === 1 ? one : more}`;

/**
 * The history as lines: what belongs to one takeover is one block, under a line that names it, in the order in which it happened;
 * blocks and what stands alone have the newest first. Pure.
 */
export function historyLines(entries: FenceHistory['entries']): string[] {
  const shown = new Set<unknown>();
  return entries.flatMap((each) => {
    const { fenceId } = each.entry;
    if (fenceId === undefined) return [`${each.at}  ${each.text}`];
    if (shown.has(fenceId)) return [];
    shown.add(fenceId);
    return blockOf(entries.filter(({ entry }) => entry['fenceId'] === fenceId).reverse());
  });
}

function blockOf(entries: FenceHistory['entries']): string[] {
  const [{ entry } = { entry: {} as Readonly<Record<string, unknown>> }] = entries;
  const subject = `${entry['volume']} (${entry['volumeId']} on ${entry['instanceId']}, ${entry['device']})`;
  const said = (text: string) => text.replace(`${subject}: `, '').replace(` [${entry['fenceId']}]`, '');
  return [`takeover ${entry['fenceId']} of ${subject}`, ...entries.map(({ at, text }) => `  ${at}  ${said(text)}`)];
}
