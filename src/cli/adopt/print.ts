import { type Column, tableLines, visible, wrapped } from '../table.ts';
import type { Candidate } from './judge.ts';
import type { Step } from './plan.ts';

const columns: readonly Column[] = [
  { title: 'VOLUME' },
  { title: 'NAME', least: 12 },
  { title: 'ZONE', rank: 2 },
  { title: 'GIB', rank: 3 },
  { title: 'STATE', rank: 1 },
  { title: 'OWNER' },
  { title: 'MAY BE ADOPTED' },
];

const verdicts = { free: 'yes', 'by-id': 'by its id', rename: 'with --as', never: 'no' } as const;

/** The volumes that do not belong to the cluster, with what there is to say about each. @param width of the terminal; undefined where nothing needs to fit. */
export function inventoryText(candidates: readonly Candidate[], cluster: string, width: number | undefined): string {
  if (candidates.length === 0) return 'The region has no volume with a Name tag that is not in the cluster already.\n';
  const rows = candidates.map(({ volume, name, owner, verdict, remarks }) => ({
    cells: [
      volume.id,
      name,
      volume.zone,
      String(volume.sizeGib),
      volume.state,
      owner === undefined ? '-' : `${owner.instanceId ?? 'AWS'} ${owner.device}`,
      verdicts[verdict],
    ],
    below: remarks,
  }));
  const free = candidates.filter(({ verdict }) => verdict === 'free').length;
  const summary = `${free} of ${candidates.length} may be adopted into the cluster ${JSON.stringify(cluster)} as they are.`;
  return `${tableLines(columns, rows, width).join('\n')}\n\n${wrapped(summary, width).join('\n')}\n`;
}

/** What is done in one step, or would be. @param failure why it was not, where it was tried */
export function stepText(
  step: Step,
  { apply, failure }: { readonly apply: boolean; readonly failure?: string | undefined },
): string {
  if (failure !== undefined) return `${failure}\n`;
  switch (step.kind) {
    case 'refused':
      return `${visible(step.word)}: left as it is: ${step.why}. ${step.todo}.\n`;
    case 'done':
      return `${visible(step.name)}: nothing to do: ${step.volume.id} is in the cluster already\n`;
    case 'give-back':
      return `${visible(step.name)}: ${apply ? 'gave back' : 'would give back'} ${step.volume.id}, without these tags:\n${listed(step.clear)}`;
    case 'adopt':
      return adoptionText(step, apply);
  }
}

function adoptionText(
  { candidate: { volume, name, remarks }, tags, clear }: Extract<Step, { kind: 'adopt' }>,
  apply: boolean,
): string {
  const where = `${volume.id} (${volume.zone}, ${volume.sizeGib} GiB, ${volume.state})`;
  const lines = Object.entries(tags).map(([key, value]) => `${key}=${value}`);
  const cleared = clear.map((key) => `${key} removed`);
  const known = remarks.map((remark) => `  note: ${remark}\n`).join('');
  return `${visible(name)}: ${apply ? 'adopted' : 'would adopt'} ${where}, with these tags:\n${listed([...lines, ...cleared])}${known}`;
}

const listed = (lines: readonly string[]): string => lines.map((line) => `  ${line}\n`).join('');

/** The same for programs. */
export function candidateJson({ volume, name, owner, verdict, remarks }: Candidate): object {
  const { id, zone, sizeGib, state } = volume;
  return { volumeId: id, name, zone, sizeGiB: sizeGib, state, owner, verdict, remarks };
}

/** The same for programs. `done` is false for what is refused, has failed, or would only be done with --apply. */
export function stepJson(
  step: Step,
  outcome: { readonly apply: boolean; readonly failure?: string | undefined },
): object {
  const { apply, failure } = outcome;
  if (step.kind === 'refused') return { ...step, done: false };
  const done = step.kind === 'done' || (apply && failure === undefined);
  if (step.kind === 'adopt')
    return { kind: step.kind, ...candidateJson(step.candidate), tags: step.tags, clear: step.clear, done, failure };
  const clear = step.kind === 'give-back' ? step.clear : [];
  return { kind: step.kind, volumeId: step.volume.id, name: step.name, clear, done, failure };
}
