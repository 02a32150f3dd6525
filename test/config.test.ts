import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  flagOf,
  loadSettings,
  type SettingName,
  settingsHelp,
  settingsMarkdown,
  settingsTable,
} from '../src/config.ts';
import { isCode } from '../src/errors.ts';

const names = Object.keys(settingsTable) as SettingName[];

const problem = (argv: string[], env: Record<string, string> = {}): string => {
  try {
    loadSettings(argv, env);
  } catch (error) {
    if (isCode(error, 'INVALID_OPTION')) return error.message;
    throw error;
  }
  return '';
};

test('the defaults are values their own kinds accept', () => {
  expect(loadSettings([], {})).toMatchObject({
    socket: '/run/docker/plugins/ebs.sock',
    size: 16,
    linger: 2,
    encrypted: false,
  });
});

test('a flag wins over its variable, which wins over the default; an empty variable is unset', () => {
  expect(loadSettings([], { DVE_SIZE: '20' }).size).toBe(20);
  expect(loadSettings(['--size', '30'], { DVE_SIZE: '20' }).size).toBe(30);
  expect(loadSettings(['--size=30', '--size=31'], {}).size).toBe(31);
  expect(loadSettings([], { DVE_SIZE: '' }).size).toBe(16);
  expect(loadSettings([], { DVE_SIZE: '1T' }).size).toBe(1024);
});

test('an empty flag is a value, not a default', () => {
  expect(loadSettings(['--tags='], { DVE_TAGS: 'a=b' }).tags).toBe('');
  expect(problem(['--size='])).toMatch(/cannot use --size="": it takes a whole number of GiB, 1 to 2147483647/);
});

test.each([
  [
    'size',
    ['0', '2147483648', '1.5', '-1', '1e3', '0x10', ' 1', 'ten', '1000M'],
    ['1', '65536', '10GB', '1T', '10240M'],
  ],
  ['linger', ['-1', '3601', '1s', '.5', 'NaN', 'Infinity'], ['0', '0.5', '3600']],
  ['encrypted', ['yes', '1', 'constructor', '__proto__', 'tru'], ['true', 'FALSE', 'True']],
  ['type', ['gp4', 'GP3', 'constructor'], ['gp2', 'io2']],
  ['socket', ['ebs.sock', './x', '~/x', 'unix:///x', '/a\0b'], ['/a', '/a b']],
] satisfies [SettingName, string[], string[]][])('%s is checked', (name, wrong, right) => {
  for (const value of wrong) {
    expect(problem([`--${flagOf(name)}=${value}`])).toContain(`--${flagOf(name)}=${JSON.stringify(value)}`);
    if (!value.includes('\0'))
      expect(problem([], { [settingsTable[name].env]: value })).toContain(settingsTable[name].env);
  }
  for (const value of right) expect(problem([`--${flagOf(name)}=${value}`])).toBe('');
});

test.each([['--nonsense'], ['--size'], ['stray'], ['--size', '--type'], ['-x']])(
  'the command line %j is refused',
  (...argv) => {
    const refused = expect.objectContaining({
      code: 'INVALID_OPTION',
      message: expect.stringMatching(/See docker-volume-ebs serve --help\.$/),
    });
    expect(() => loadSettings(argv, {})).toThrow(refused);
  },
);

test('whatever is given, every setting is of its kind or INVALID_OPTION is thrown', () => {
  const kinds = Object.fromEntries(Object.entries(loadSettings([], {})).map(([name, value]) => [name, typeof value]));
  const likely = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('1', '0.5', 'true', '/x', 'gp2', 'never', 'xfs'),
  );
  fc.assert(
    fc.property(fc.constantFrom(...names), likely, (name, value) => {
      let settings: Record<string, unknown>;
      try {
        settings = loadSettings([`--${flagOf(name)}=${value}`], {});
      } catch (error) {
        return isCode(error, 'INVALID_OPTION');
      }
      const kind = name === 'metrics' && settings[name] !== 'off' ? 'object' : kinds[name];
      return typeof settings[name] === kind && !Number.isNaN(settings[name]);
    }),
    { numRuns: 2000 },
  );
});

test('flags and variables are each one setting, and the help names them all', () => {
  expect(new Set(names.map(flagOf)).size).toBe(names.length);
  expect(new Set(names.map((name) => settingsTable[name].env)).size).toBe(names.length);
  for (const name of names) {
    expect(settingsHelp()).toContain(`--${flagOf(name)} (${settingsTable[name].env})`);
    expect(settingsTable[name].env).toBe(`DVE_${flagOf(name).replaceAll('-', '_').toUpperCase()}`);
  }
});

test('docs/settings.md holds the table as it is now', () => {
  const page = readFileSync(new URL('../docs/settings.md', import.meta.url), 'utf8');
  expect(page).toContain(`<!-- settings -->\n${settingsMarkdown()}\n<!-- /settings -->`);
});

test('a variable that is no setting is refused, with the nearest that is one', () => {
  expect(problem([], { DVE_FENCE_POLCY: 'never' })).toBe(
    'cannot use DVE_FENCE_POLCY of the environment: there is no such setting, but DVE_FENCE_POLICY. ' +
      'Correct its name; docker-volume-ebs serve --help has all of them.',
  );
  expect(problem([], { DVE_: 'x', OTHER: 'y' })).toContain('there is no such setting.');
});
