import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { rexrayMarkdown, rexrayPluginSettings, understandRexRay } from '../../src/cli/serve/rexray-settings.ts';
import { loadSettings, settingsTable } from '../../src/config.ts';
import { isCode } from '../../src/errors.ts';

const operations = 'LIBSTORAGE_INTEGRATION_VOLUME_OPERATIONS';

/** Its warnings, or its refusal. */
const saidOf = (env: Record<string, string>): string => {
  try {
    return understandRexRay(env).warnings.join('\n');
  } catch (error) {
    return String(error);
  }
};

const problem = (env: Record<string, string>): string => {
  try {
    return JSON.stringify(understandRexRay(env));
  } catch (error) {
    if (isCode(error, 'INVALID_OPTION')) return error.message;
    throw error;
  }
};

describe('a setting of REX-Ray', () => {
  it.each<[env: Record<string, string>, ours: Record<string, string>]>([
    [{ REXRAY_FSTYPE: 'XFS' }, { DVE_FS_TYPE: 'xfs' }],
    [{ REXRAY_LOGLEVEL: 'warning' }, { DVE_LOG_LEVEL: 'warn' }],
    [{ REXRAY_LOGLEVEL: 'panic' }, { DVE_LOG_LEVEL: 'fatal' }],
    [{ EBS_ENDPOINT: 'ec2.eu-west-1.amazonaws.com' }, { AWS_ENDPOINT_URL_EC2: 'https://ec2.eu-west-1.amazonaws.com' }],
    [{ AWS_ENDPOINT: 'http://10.0.0.1:80' }, { AWS_ENDPOINT_URL_EC2: 'http://10.0.0.1:80' }],
    [{ HTTP_PROXY: 'proxy:3128' }, { HTTPS_PROXY: 'http://proxy:3128' }],
    [{ EC2_KMSKEYID: 'alias/mine' }, { DVE_KMS_KEY_ID: 'alias/mine' }],
    [{ LINUX_VOLUME_ROOTPATH: '/data' }, { DVE_SUBDIRECTORY: 'data' }],
    [{ LINUX_VOLUME_ROOTPATH: '/' }, { DVE_SUBDIRECTORY: '/' }],
    [{ LINUX_VOLUME_ROOTPATH: '/a//b/', [`${operations}_MOUNT_ROOTPATH`]: 'a/b' }, { DVE_SUBDIRECTORY: 'a/b' }],
    [{ [`${operations}_CREATE_DEFAULT_SIZE`]: '20' }, { DVE_SIZE: '20' }],
    [{ [`${operations}_CREATE_DEFAULT_TYPE`]: 'GP2' }, { DVE_TYPE: 'gp2' }],
    [{ EBS_USELARGEDEVICERANGE: 'true', DOCKER_LEGACY: 'true', REXRAY_PREEMPT: 'false' }, {}],
    [{ REXRAY_FSTYPE: '', EBS_REGION: '', HTTP_PROXY: '' }, {}],
  ])('%j is taken as %j', (env, ours) => {
    expect(understandRexRay(env)).toEqual({ env: ours, warnings: [] });
    expect(loadSettings([], ours)).toBeDefined();
  });

  it.each([
    ['REXRAY_PREEMPT', 'true', /taken over anyway.*DVE_FENCE_POLICY=preempt/],
    [`${operations}_MOUNT_PREEMPT`, 'TRUE', /DVE_FENCE_POLICY=preempt/],
    ['EBS_REGION', 'us-east-1', /instance's own region.*AWS_REGION/],
    ['LINUX_VOLUME_FILEMODE', '0755', /options mode/],
    ['EBS_STATUSTIMEOUT', '2m', /DVE_MOUNT_TIMEOUT/],
    ['DOCKER_LEGACY', 'false', /CSI/],
    [`${operations}_CREATE_DISABLE`, 'true', /cannot be switched off/],
    ['EBS_ACCESSKEY', 'AKIA', /secret key is missing/],
    ['REXRAY_NEW', 'x', /no meaning here/],
  ])('%s=%s is warned about, and sets nothing', (name, value, said) => {
    const { env, warnings } = understandRexRay({ [name]: value });
    expect(env).toEqual({});
    expect(warnings).toEqual([expect.stringMatching(said)]);
    expect(warnings[0]).toMatch(new RegExp(`^${name} `));
  });

  it('that removes nothing becomes one that retains, and says what is different', () => {
    const { env, warnings } = understandRexRay({ [`${operations}_REMOVE_DISABLE`]: 'true' });
    expect(env).toEqual({ DVE_ON_REMOVE: 'retain' });
    expect(warnings).toEqual([expect.stringMatching(/its name is free then/)]);
  });

  it('gives way to ours', () => {
    const theirs = { REXRAY_FSTYPE: 'zfs', EBS_ENDPOINT: 'a', EBS_ACCESSKEY: 'b', EBS_SECRETKEY: 'c' };
    const ours = { DVE_FS_TYPE: 'ext4', AWS_ENDPOINT_URL: 'http://x', AWS_ACCESS_KEY_ID: 'd' };
    expect(understandRexRay({ ...theirs, ...ours })).toEqual({ env: {}, warnings: [] });
  });

  it.each([
    [{ REXRAY_FSTYPE: 'zfs' }, /REXRAY_FSTYPE="zfs".*takes ext4, xfs, btrfs/],
    [{ REXRAY_LOGLEVEL: 'loud' }, /REXRAY_LOGLEVEL="loud"/],
    [{ LINUX_VOLUME_ROOTPATH: '/../etc' }, /LINUX_VOLUME_ROOTPATH.*inside the volume/],
    [{ EBS_ENDPOINT: 'ftp://x' }, /EBS_ENDPOINT.*host name or a URL/],
    [{ [`${operations}_REMOVE_DISABLE`]: 'perhaps' }, /REMOVE_DISABLE.*true or false/],
    [{ LINUX_VOLUME_ROOTPATH: '/a', [`${operations}_MOUNT_ROOTPATH`]: '/b' }, /ROOTPATH and .*MOUNT_ROOTPATH/],
    [{ REXRAY_FSTYPE: 'xfs', [`${operations}_CREATE_DEFAULT_FSTYPE`]: 'ext4' }, /different things/],
  ])('%j is refused by its own name', (env, said) => {
    expect(problem(env)).toMatch(said);
  });

  it('that is a secret is never said', () => {
    const secret = fc.stringMatching(/^[A-Za-z0-9+/]{20,40}$/);
    const name = fc.constantFrom('EBS_SECRETKEY', 'EBS_ACCESSKEY', 'AWS_SECRETKEY', 'EC2_ACCESSKEY');
    fc.assert(
      fc.property(fc.dictionary(name, secret), (env) => {
        const said = saidOf(env);
        for (const value of Object.values(env)) expect(said).not.toContain(value);
      }),
    );
  });

  it.each(['HTTP_PROXY', 'EBS_ENDPOINT'])('%s, which may hold a password, is refused without it', (name) => {
    const said = saidOf({ [name]: 'http://user:pass/word@host:port' });
    expect(said).toMatch(new RegExp(`use REX-Ray's ${name} as .*a host name or a URL`));
    expect(said).not.toContain('word');
  });

  it('is a pair of keys when both are there', () => {
    expect(understandRexRay({ EBS_ACCESSKEY: 'a', AWS_SECRETKEY: 'b' })).toEqual({
      env: { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' },
      warnings: [],
    });
  });
});

test("an environment without REX-Ray's settings says nothing", () => {
  const ours = Object.fromEntries(Object.values(settingsTable).map(({ env, fallback }) => [env, fallback]));
  expect(understandRexRay({ ...ours, AWS_REGION: 'eu-west-1', PATH: '/bin' })).toEqual({ env: {}, warnings: [] });
});

test("the plugin takes all that REX-Ray's takes", () => {
  const names = rexrayPluginSettings().map(({ name }) => name);
  expect(names).toHaveLength(21);
  const config = JSON.parse(readFileSync(new URL('../../plugin-config.json', import.meta.url), 'utf8'));
  for (const setting of rexrayPluginSettings()) expect(config.env).toContainEqual({ ...setting, settable: ['value'] });
});

test('the page about migrating holds the table as it is now', () => {
  const page = readFileSync(new URL('../../docs/migrating-from-rexray.md', import.meta.url), 'utf8');
  expect(page).toContain(`<!-- rexray -->\n${rexrayMarkdown()}\n<!-- /rexray -->`);
});

describe('serve', () => {
  const serve = [join(import.meta.dirname, '../../src/cli/main.ts'), 'serve'];

  it('warns of what has no meaning, and takes the rest', async () => {
    const dir = mkdtempSync(join(tmpdir(), 'dve-rexray-'));
    const env = {
      PATH: process.env['PATH'],
      DVE_SOCKET: join(dir, 'ebs.sock'),
      DVE_ROOT: join(dir, 'root'),
      AWS_EC2_METADATA_DISABLED: 'true',
      REXRAY_LOGLEVEL: 'warn',
      REXRAY_PREEMPT: 'true',
      EBS_SECRETKEY: 'very-secret',
    };
    const child = spawn(process.execPath, serve, { env, stdio: ['ignore', 'pipe', 'inherit'] });
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
    const said = [(await lines.next()).value, (await lines.next()).value];
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(dir, { recursive: true });
    // No line of level info comes before them.
    expect(said.map((line) => JSON.parse(line ?? ''))).toMatchObject([
      { level: 'warn', msg: expect.stringMatching(/^REXRAY_PREEMPT .*DVE_FENCE_POLICY/) },
      { level: 'warn', msg: expect.stringMatching(/^EBS_SECRETKEY .*access key is missing/) },
    ]);
    expect(said.join()).not.toContain('very-secret');
  });

  it("does not start with a value that is wrong, and names REX-Ray's variable", () => {
    const env = { PATH: process.env['PATH'], REXRAY_FSTYPE: 'zfs' };
    const { status, stderr } = spawnSync(process.execPath, serve, { encoding: 'utf8', env });
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringMatching(/REXRAY_FSTYPE="zfs".*ext4, xfs/) });
  });
});
