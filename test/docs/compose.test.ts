import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { loadSettings } from '../../src/config.ts';
import { parseOptions } from '../../src/volumes/options/options.ts';
import { planVolume } from '../../src/volumes/options/plan.ts';
import { openPage } from './page.ts';

const page = openPage('docs/compose.md');

/** What these options make of a volume; throws for options that the driver refuses. */
const planned = (name: string, options: Record<string, string>) =>
  planVolume(name, parseOptions(name, options), loadSettings([], {}), 'us-east-1a');

it('the project has volumes that Compose and the driver know', () => {
  const project = parse(page.definition('yaml', 'driver: ebs'));
  const mounted = Object.values<{ volumes: string[] }>(project.services).flatMap(({ volumes }) =>
    volumes.map((volume) => volume.split(':')[0]),
  );
  expect(mounted.toSorted()).toEqual(Object.keys(project.volumes).toSorted());
  const { data, cache } = project.volumes;
  // The keys of the Compose specification for a volume; an external one may have its name alone beside.
  expect(data).toEqual({ name: 'shop-data', external: true });
  expect(Object.keys(cache)).toEqual(['driver', 'driver_opts']);
  expect(Object.values(cache.driver_opts).every((value) => typeof value === 'string')).toBe(true);
  expect(planned('shop_cache', cache.driver_opts)).toMatchObject({ sizeGib: 5 });
});

it('the external volume is made as the project has it', () => {
  const words = page.take('docker volume create').trim().split(' ');
  expect(words.slice(0, 5)).toEqual(['docker', 'volume', 'create', '-d', 'ebs']);
  const options = words.filter((_, index) => words[index - 1] === '-o').map((option) => option.split('='));
  expect(planned(words.at(-1)!, Object.fromEntries(options))).toMatchObject({ sizeGib: 20, type: 'gp3' });
  expect(words.at(-1)).toBe('shop-data');
});
