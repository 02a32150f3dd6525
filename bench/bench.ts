import { constants } from 'node:os';
import { parseArgs } from 'node:util';
import { DriverError } from '../src/errors.ts';
import type { Case } from './cases/case.ts';
import { cases } from './cases/index.ts';
import { type Conditions, conditions } from './conditions.ts';
import { type Lab, openLab } from './lab.ts';
import { program } from './program.ts';
import { isMet, jsonReport, textTable } from './report.ts';
import { failedRow, type Row } from './row.ts';

const usage = `Usage: npm run bench -- [OPTIONS]

Measures the driver against an EC2 on this machine (60 ms round trips, create 0.6 s, attach and detach 2 s) and holds
the figures against their budgets. Needs root and loop devices; leaves nothing behind. All of it takes about ten minutes.

  --only CASE[,CASE]  Run these alone
  --json              Print one line of JSON and nothing else
  --help              Show this text

Cases:
${cases.map(({ name, summary }) => `  ${name.padEnd(14)}${summary}`).join('\n')}

The exit status is 1 when a budget is missed.
`;

type Format = (about: Conditions, rows: readonly Row[]) => string;

interface Flags {
  readonly chosen: readonly Case[];
  readonly format: Format;
}

/** Runs the benchmark. @returns 0 when every budget is met, 1 when one is missed, 128 and the signal when it is ended. */
export async function benchCommand(argv: readonly string[]): Promise<number> {
  const flags = readFlags(argv);
  if (flags === undefined) {
    process.stdout.write(usage);
    return 0;
  }
  program();
  const about = await conditions();
  const lab = openLab();
  try {
    const outcome = await Promise.race([runCases(lab, flags.chosen), signalled()]);
    if (typeof outcome === 'number') return outcome;
    process.stdout.write(flags.format(about, outcome));
    return isMet(outcome) ? 0 : 1;
  } finally {
    await lab.close();
  }
}

/** Undefined when help is wanted. @throws DriverError INVALID_OPTION for a case that there is not, and what parseArgs throws */
function readFlags(argv: readonly string[]): Flags | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      only: { type: 'string' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  return { chosen: chosenCases(values.only), format: values.json ? jsonReport : (_, rows) => textTable(rows) };
}

function chosenCases(only: string | undefined): readonly Case[] {
  if (only === undefined) return cases;
  const names = only.split(',');
  const unknown = names.find((name) => !cases.some((each) => each.name === name));
  if (unknown === undefined) return cases.filter(({ name }) => names.includes(name));
  throw new DriverError('INVALID_OPTION', {
    tried: `run --only ${only}`,
    why: `there is no case ${JSON.stringify(unknown)}`,
    todo: `Choose from ${cases.map(({ name }) => name).join(', ')}`,
  });
}

async function runCases(lab: Lab, chosen: readonly Case[]): Promise<Row[]> {
  const rows: Row[] = [];
  // One case that fails costs no other its figures.
  for (const { name, summary, run } of chosen) {
    process.stderr.write(`${name}: ${summary} … `);
    const start = performance.now();
    rows.push(...(await run(lab).catch((error: unknown) => [failedRow(name, error)])));
    await lab.clear();
    process.stderr.write(`${((performance.now() - start) / 1000).toFixed(0)} s\n`);
  }
  return rows;
}

/** The exit status that a shell gives for a program ended by this signal. */
function signalled(): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.on(signal, () => resolve(128 + constants.signals[signal]));
    }
  });
}
