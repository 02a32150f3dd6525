import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { commands } from '../../src/cli/commands.ts';
import { requires } from '../support/requirements.ts';
import { type TestSandbox, testSandbox } from '../support/sandbox.ts';

const main = join(import.meta.dirname, '../../src/cli/main.ts');

/** Calls about a volume, a zone, a snapshot or a holder that is nowhere: at least one for each command that takes a name. */
const ofNothing = [
  'status none',
  'ls none',
  'ls --zone us-east-1z',
  'where none',
  'set none --uid 1',
  'undelete none',
  'trash rm none',
  'resize none 5',
  'modify none --type gp3',
  'snapshot take none',
  'snapshot ls none',
  'snapshot rm none nightly',
  'snapshot rm data nightly',
  'rollback none latest',
  'rescue none',
  'rescue none --end',
  'unmount none --holder x',
  'unmount data --holder x',
  'fence explain none',
  'fence confirm none --victim i-1 --reason x',
];

/** What shows something, in an order in which each has something to show. */
const showing = [
  'status',
  'ls',
  'where data',
  'set data --uid 1000 --dry-run',
  'resize data +1 --dry-run',
  'modify data --iops 4000 --dry-run',
  'snapshot take data first',
  'snapshot ls',
  'rollback data first --dry-run',
  'trash ls',
  'trash empty',
  'fence explain data',
  'fence history',
  'fence pause --reason test',
  'fence resume',
  'drain --timeout 0',
  'drain --status',
  'drain --cancel',
  'health',
  'version',
];

const screens = [
  'status',
  'ls',
  'where data',
  'snapshot ls',
  'trash ls',
  'fence explain data',
  'drain --status',
  'doctor',
];

describe.skipIf(requires('root', 'loop').skip)('the commands on a node', () => {
  let box: TestSandbox;
  let socket: string;
  beforeAll(async () => {
    box = await testSandbox({ nodes: 1, nodeEnv: { DVE_SIZE: '1', DVE_ON_REMOVE: 'trash' } });
    const [node] = box.sandbox.nodes();
    socket = node?.socket ?? '';
    const id = node?.instanceId ?? '';
    for (const name of ['data', 'gone']) await box.ok(id, 'Create', { Name: name });
    await box.ok(id, 'Mount', { Name: 'data', ID: 'a-container' });
    await box.ok(id, 'Remove', { Name: 'gone' });
  });
  afterAll(() => box?.close());

  const execute = (program: string, argv: readonly string[]) =>
    new Promise<{ status: number; stdout: string; stderr: string }>((resolve) => {
      execFile(program, argv, { env: { ...process.env, DVE_SOCKET: socket } }, (error, stdout, stderr) => {
        resolve({ status: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });
  const run = (line: string) => execute(process.execPath, [main, ...line.split(' ')]);

  it('end with 1 for what is nowhere, and say so', async () => {
    for (const line of ofNothing) {
      const { status, stdout, stderr } = await run(line);
      expect([line, status, /none|nightly|us-east-1z|holder/.test(stdout + stderr)]).toEqual([line, 1, true]);
    }
    const tried = new Set(ofNothing.map((line) => line.split(' ')[0]));
    const named = await Promise.all(
      Object.entries(commands).map(async ([name, { load }]) => {
        const { offers, verbs = {} } = (await load()).grammar;
        const all = [offers, ...Object.values(verbs)];
        return all.includes('volume') || all.includes('removed') ? [name] : [];
      }),
    );
    expect(named.flat().filter((name) => !tried.has(name))).toEqual([]);
  });

  it('show the same as JSON in one dialect: camel case, sizes in GiB, times as ISO 8601', async () => {
    for (const line of showing) {
      const { stdout, stderr } = await run(`${line} --json`);
      const answer = parsed(stdout) ?? { unreadable: stdout, stderr };
      expect([line, ...faultsOf(answer)]).toEqual([line]);
    }
  });

  it.each([80, 60])('fit a terminal of %i places, without colour too', async (width) => {
    for (const line of screens) {
      const typed = `stty cols ${width}; NO_COLOR=1 '${process.execPath}' '${main}' ${line}`;
      const { stdout } = await execute('script', ['-qec', typed, '/dev/null']);
      const tooLong = stdout.split(/\r?\n/).filter((each) => [...each].length > width && !mayBeLong(each, line));
      expect([line, ...tooLong]).toEqual([line]);
    }
  });
});

/** What is to be copied stays whole: a command, an id or path that no line has room for, and a table's columns that are never left out. */
const mayBeLong = (line: string, of: string): boolean =>
  (of.startsWith('where') && line.startsWith('  ')) ||
  /^ *(?:docker|docker-volume-ebs|aws) /.test(line) ||
  !line.trim().includes(' ') ||
  /vol-|snap-|:\/\//.test(line);

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Members whose own members are named by their content, as an action of EC2. */
const tables = ['decisions', 'refusals', 'calls', 'constraints', 'tags'];

/** What breaks the dialect, a line each. */
function faultsOf(value: unknown, path = ''): string[] {
  if (Array.isArray(value)) return value.flatMap((each) => faultsOf(each, `${path}[]`));
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, member]) => {
    const at = `${path}.${key}`;
    if (tables.includes(key)) return [];
    const isTime = /^(?:since|at|removed|expires)$|(?:At|Time)$/.test(key) && typeof member === 'string';
    return [
      ...(/^[a-z][a-zA-Z0-9]*$/.test(key) && !/G[Ii]b$|GIB/.test(key) ? [] : [`${at} is no camel case`]),
      ...(isTime && !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z$/.test(member) ? [`${at} is no time: ${member}`] : []),
      ...faultsOf(member, at),
    ];
  });
}
