import type { Conditions } from './conditions.ts';
import { markdownTable } from './report.ts';
import { rexRay } from './rexray.ts';
import type { Row } from './row.ts';
import { duration } from './wording.ts';

/** The page docs/benchmarks.md. */
export function page(about: Conditions, rows: readonly Row[]): string {
  return `# Benchmarks

Made by \`npm run docs\` from [benchmarks.json](benchmarks.json), which \`npm run -s bench -- --json\` wrote, as root; \`npm run bench\` prints
the same for a terminal. It takes about ten minutes and needs no AWS account.

Measured on ${about.date} with docker-volume-ebs ${about.version} on Node ${about.node}, Linux ${about.kernel}, ${about.cores} cores (${about.processor}),
${about.memoryGib} GiB of memory, at a load of ${about.load.toFixed(1)} before it began. The EC2, all its instances and what calls them share these cores: where others
use them too, times grow.

## How to read it

- **The EC2** is the sandbox (\`npm run sandbox -- --timing bench\`): a round trip takes 60 ms, create 0.6 s, attach 2 s, detach 2 s, and calls
  count against EC2's documented token buckets. The disks are loop devices. The daemons are the bundle that \`npm run build\` makes.
- **EC2 calls** are counted by the sandbox, refused and repeated ones too: the most that any run made.
- **EC2's own** time is from the sandbox accepting a call to its effect: the volume available, the disk on the machine, the volume free.
  As on AWS the disk is there a little before EC2 calls it attached: after 1.6 s of the 2. That is where its own time ends here.
- **Volumes** are of 1 GiB. Those of the cases "at once", "attaching takes", "takeover" and of the fleet were made and formatted
  beforehand; plugging many disks in takes the sandbox's own time on these cores, which counts as EC2's.
- **Overhead** is the rest of the wall time: round trips, and the work on this machine. Budgets are held against the median of the
  runs; the slowest is in brackets.

## Results

${markdownTable(rows)}

${section(rows, 'attach-', "What the driver adds to EC2's own time", "A mount takes as long as EC2's attach, and a fifth of a second more")}
${section(rows, 'together-', 'Many volumes at once', 'How long it takes to mount one volume, and many at once')}
## Beside REX-Ray

REX-Ray 0.11.4 (the last release) against an EC2 with the same times.

![EC2 calls of each operation, REX-Ray's and ours](pictures/bench-calls.svg)

![How long each operation takes, REX-Ray's and ours](pictures/bench-times.svg)

${comparison(rows)}
`;
}

/** A chart of the cases with such ids, where some were measured. */
function section(rows: readonly Row[], ids: string, heading: string, picture: string): string {
  if (!rows.some(({ id }) => id.startsWith(ids))) return '';
  return `## ${heading}\n\n![${picture}](pictures/bench-${ids.slice(0, -1)}.svg)\n`;
}

function comparison(rows: readonly Row[]): string {
  const lines = rexRay.flatMap(({ id, operation, calls, seconds }) => {
    const row = rows.find((each) => each.id === id);
    if (row?.wallMs === undefined) return [];
    const ours = Object.values(row.calls).reduce((sum, count) => sum + count, 0);
    const theirs = seconds === undefined ? '–' : `${seconds.toFixed(1)} s`;
    return [`| ${operation} | ${calls ?? '–'} | ${theirs} | ${ours} | ${duration(row.wallMs.median)} |`];
  });
  const headings = '| operation | REX-Ray: EC2 calls | wall | docker-volume-ebs: EC2 calls | wall |';
  return [headings, '| --- | --- | --- | --- | --- |', ...lines].join('\n');
}
