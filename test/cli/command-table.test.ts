import { expect, test } from 'vitest';
import { commands } from '../../src/cli/commands.ts';
import { blocksOf, entryOf } from '../../src/cli/help-text.ts';

const typed = Object.entries(commands).filter(([, { summary }]) => summary !== undefined);

/** What they print is another's, or a text that is itself: a log, a script, a page. */
const withoutJson = ['serve', 'dvdcli', 'completion', 'man', 'help'];

test.each(typed)('%s --help names the flags that it takes, and no other', async (name, { load }) => {
  const { usage, grammar } = await load();
  const labels = blocksOf(usage().split('\n')).flatMap((block) => entryOf(block)?.label ?? []);
  const named = labels.filter((label) => label.startsWith('-')).flatMap((label) => label.match(/--[a-z][\w-]*/g) ?? []);
  const taken = Object.keys(grammar.flags).map((flag) => `--${flag}`);
  // Of those of sub-commands, only some stand in lines of their own.
  expect(taken.filter((flag) => !new RegExp(`${flag}\\b`).test(usage()))).toEqual([]);
  expect(named.filter((flag) => flag !== '--help' && !taken.includes(flag))).toEqual([]);
  expect(grammar.command).toBe(name);
});

test.each(typed)('%s refuses a flag that it has not, before it does anything', async (name, { load }) => {
  const { run } = await load();
  const refused = { code: 'INVALID_OPTION', message: expect.stringMatching(/--no-such-flag.* See /) };
  await expect(run(['--no-such-flag'])).rejects.toMatchObject(refused);
  const [flag = ''] = Object.keys((await load()).grammar.flags);
  if (flag === '' || name === 'dvdcli') return;
  await expect(run([`--${flag.slice(0, -1)}`])).rejects.toThrow(
    `, but --${flag}. See docker-volume-ebs ${name} --help`,
  );
});

test('every command that shows something shows it as JSON, too', async () => {
  const modules = await Promise.all(typed.map(async ([name, { load }]) => ({ name, grammar: (await load()).grammar })));
  const without = modules.filter(({ grammar }) => grammar.flags['json']?.type !== 'boolean').map(({ name }) => name);
  expect(without).toEqual(withoutJson);
});

test.each(
  typed.flatMap(([name, { load }]) => (['fence', 'trash', 'snapshot'].includes(name) ? [[name, load] as const] : [])),
)('%s names the command that was meant', async (name, load) => {
  const { run, grammar } = await load();
  const [verb = ''] = Object.keys(grammar.verbs ?? {});
  await expect(run([`${verb}x`])).rejects.toThrow(`${name} has no command "${verb}x", but ${verb}. See`);
  await expect(run(['constructor'])).rejects.toThrow(`it has ${verb}, `);
  await expect(run([])).rejects.toMatchObject({ code: 'INVALID_OPTION' });
});
