import { describe, expect, it } from 'vitest';
import { encodeName } from '../../src/volumes/options/names.ts';
import { parseOptions } from '../../src/volumes/options/options.ts';
import { openPage } from './page.ts';

const page = openPage('docs/nomad.md');

// biome-ignore lint/suspicious/noExplicitAny: definitions have every shape.
type Body = Record<string, any>;

/** HCL as far as the page needs it: one block or attribute a line. A block's labels become keys of their own. */
function readHcl(text: string): Body {
  const root: Body = {};
  const open = [root];
  for (const line of text.split('\n').map((each) => each.replace(/^\s*#.*/, '').trim())) {
    const body = open.at(-1);
    if (body === undefined) throw new Error('a brace too many');
    const [, block] = /^(.+) \{$/.exec(line) ?? [];
    const [, key = '', value] = /^(\w+) *= (.+)$/.exec(line) ?? [];
    if (line === '}') open.pop();
    else if (block !== undefined)
      open.push(block.split(' ').reduce((at, word) => (at[word.replaceAll('"', '')] ??= {}), body));
    else if (value !== undefined) body[key] = JSON.parse(value);
    else if (line !== '') throw new Error(`what is ${line}?`);
  }
  if (open.length !== 1) throw new Error('a brace is missing');
  return root;
}

/** As Nomad fills names in for an allocation. */
const filled = (name: string, index: number) =>
  name.replaceAll(`\${NOMAD_JOB_NAME}`, 'db').replaceAll(`\${NOMAD_ALLOC_INDEX}`, String(index));

it('the client lets tasks use volume drivers', () => {
  expect(readHcl(page.definition('hcl', 'plugin "docker"'))).toEqual({
    plugin: { docker: { config: { volumes: { enabled: true } } } },
  });
});

describe('the job', () => {
  const { group, constraint } = readHcl(page.definition('hcl', 'job "db"'))['job'].db;
  const { task, count, update } = group.db;
  const { type, source, volume_options } = task.db.config.mount;

  it('gives each allocation a volume of its own, by a name and options that the driver takes', () => {
    const names = Array.from({ length: count }, (_, index) => filled(source, index));
    expect(names).toEqual(['db-0', 'db-1']);
    expect(names.map(encodeName)).toEqual(names);
    expect(type).toBe('volume');
    const { name, options } = volume_options.driver_config;
    expect(name).toBe('ebs');
    expect(parseOptions('db-0', options)).toMatchObject({ size: 20 });
  });

  it('stays in one zone, and never runs two allocations of one index on purpose', () => {
    expect(constraint.attribute).toBe(`\${attr.platform.aws.placement.availability-zone}`);
    expect(update).toEqual({ max_parallel: 1, canary: 0 });
    expect(group.db.disconnect).toEqual({ stop_on_client_after: '60s' });
  });
});

it('the short form has a driver and a volume for each allocation', () => {
  const { config } = readHcl(page.definition('hcl', 'volume_driver'))['job'].cache.group.cache.task.cache;
  expect(config.volume_driver).toBe('ebs');
  expect(config.volumes.map((volume: string) => filled(volume, 1))).toEqual(['cache-1:/data']);
});
