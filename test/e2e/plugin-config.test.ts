import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { pluginSettings } from '../../scripts/plugin-settings.ts';
import { settingsTable } from '../../src/config.ts';

const config = JSON.parse(readFileSync(new URL('../../plugin-config.json', import.meta.url), 'utf8'));
const environment: { name: string; description: string; value?: string; settable: string[] }[] = config.env;

it('has every setting of ours as the table has it, and can set each', () => {
  expect(environment.filter(({ name }) => name.startsWith('DVE_'))).toEqual(pluginSettings());
  const settable = Object.values(settingsTable).map(({ env }) => env);
  expect([...environment.map(({ name }) => name), 'DVE_SOCKET', 'DVE_ROOT']).toEqual(expect.arrayContaining(settable));
});

it('gives no setting a value that would outlive the default it was made from', () => {
  for (const { name, value, settable, description } of environment) {
    expect({ name, value, settable }).toEqual({ name, value: undefined, settable: ['value'] });
    expect(description).toMatch(/\.$/);
  }
});

it('keeps mounts and journal where Docker lets them survive, and listens where it looks', () => {
  expect(config.propagatedMount).toBe(settingsTable.root.fallback);
  expect(`/run/docker/plugins/${config.interface.socket}`).toBe(settingsTable.socket.fallback);
});

it('says in its page what each right is for', () => {
  const page = readFileSync(new URL('../../docs/plugin.md', import.meta.url), 'utf8');
  const rights = [...config.linux.capabilities, ...config.mounts.map(({ source }: { source: string }) => source)];
  for (const right of rights) expect(page).toContain(`| \`${right}\` |`);
});
