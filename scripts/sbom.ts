/**
 * Writes what the bundle is made of beside it: docker-volume-ebs.cdx.json (CycloneDX) and docker-volume-ebs.licenses.txt.
 * npm knows the packages, the bundle's source map which of them are in it.
 */
import { execFileSync } from 'node:child_process';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';

interface Component {
  readonly 'bom-ref': string;
}
interface Dependency {
  readonly ref: string;
  readonly dependsOn: readonly string[];
}

const root = join(import.meta.dirname, '..');
const dist = join(root, 'dist');
const { sources } = JSON.parse(readFileSync(join(dist, 'docker-volume-ebs.mjs.map'), 'utf8')) as { sources: string[] };
const directories = [...new Set(sources.map(packageOf).filter((each) => each !== undefined))].sort();
const bundled = new Map(directories.map((directory) => [identityOf(directory), directory]));

const asked = ['sbom', '--package-lock-only', '--omit=dev', '--sbom-format=cyclonedx', '--sbom-type=application'];
const told = execFileSync('npm', asked, { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
// A serial number and a time would make each build another one.
const { serialNumber: _serial, metadata, components, dependencies, ...rest } = JSON.parse(told);
const { timestamp: _time, ...about } = metadata;
const known = new Set(components.map((component: Component) => component['bom-ref']));
const unknown = [...bundled.keys()].filter((each) => !known.has(each));
if (unknown.length > 0) throw new Error(`In the bundle, but not in package-lock.json: ${unknown.join(', ')}`);

const isIn = (ref: string) => bundled.has(ref) || ref === about.component['bom-ref'];
const bom = {
  ...rest,
  // npm calls the product by its directory's name.
  metadata: {
    ...about,
    lifecycles: [{ phase: 'build' }],
    component: { ...about.component, name: 'docker-volume-ebs' },
  },
  components: components.filter((component: Component) => isIn(component['bom-ref'])),
  dependencies: dependencies
    .filter(({ ref }: Dependency) => isIn(ref))
    .map(({ ref, dependsOn }: Dependency) => ({ ref, dependsOn: dependsOn.filter(isIn) })),
};
writeFileSync(join(dist, 'docker-volume-ebs.cdx.json'), `${JSON.stringify(bom, undefined, 2)}\n`);
writeFileSync(join(dist, 'docker-volume-ebs.licenses.txt'), [...bundled].map(licenseOf).join('\n'));

/** The directory of the package that a module is of; undefined for our own. */
function packageOf(source: string): string | undefined {
  const path = resolve(dist, source);
  const at = path.lastIndexOf('/node_modules/');
  if (at < 0) return undefined;
  const [first = '', second = ''] = path.slice(at + '/node_modules/'.length).split('/');
  return join(path.slice(0, at), 'node_modules', first, first.startsWith('@') ? second : '');
}

function identityOf(directory: string): string {
  const { name, version } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  return `${name}@${version}`;
}

/** What a package asks to be told with its code. */
function licenseOf([identity, directory]: readonly [string, string]): string {
  const [file] = globSync('{LICENSE,LICENCE,license,licence,License}*', { cwd: directory }).sort();
  const { license } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
  const text = file === undefined ? '' : readFileSync(join(directory, file), 'utf8');
  return `${identity} (${license})\n\n${text.trim()}\n\n${'-'.repeat(80)}\n`;
}
