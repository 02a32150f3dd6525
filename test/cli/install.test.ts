import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { expect, onTestFinished, test, vi } from 'vitest';
import { readGiven, withoutSecrets } from '../../src/cli/install/env-file.ts';
import { type Installation, planInstall } from '../../src/cli/install/install.ts';
import { run as uninstallCommand } from '../../src/cli/install/uninstall.ts';
import { settingsTable } from '../../src/config.ts';

const service = 'etc/systemd/system/docker-volume-ebs.service';
const socket = 'etc/systemd/system/docker-volume-ebs.socket';
const env = 'etc/docker-volume-ebs/env';

const pages = [
  'man/man8/docker-volume-ebs.8',
  'bash-completion/completions/docker-volume-ebs',
  'zsh/site-functions/_docker-volume-ebs',
  'fish/vendor_completions.d/docker-volume-ebs.fish',
];

/** The root directory of an image, and a program to install there. */
async function image() {
  const dir = await mkdtemp(join(tmpdir(), 'install-'));
  onTestFinished(() => rm(dir, { recursive: true, force: true }));
  const root = join(dir, 'root');
  const program = join(dir, 'program');
  await mkdir(root);
  await writeFile(program, 'version 1');
  const plan = (words: string[] = [], options: Partial<Installation> = {}) =>
    planInstall(program, {
      prefix: undefined,
      root,
      dvdcli: false,
      given: readGiven(words),
      manual: '.TH',
      ...options,
    });
  return {
    root,
    program,
    plan,
    /** Installs it; gives what was done, and the notes. */
    async install(words: string[] = [], options: Partial<Installation> = {}): Promise<string[]> {
      const { changes, notes } = await plan(words, options);
      for (const change of changes) await change.make();
      return [
        ...changes.map(({ what }) => what.replaceAll(root, '')),
        ...notes.map((note) => note.replaceAll(root, '')),
      ];
    },
    uninstall: (...argv: string[]) => uninstallCommand(['--root', root, ...argv]),
    read: (path: string) => readFile(join(root, path), 'utf8'),
    has: (path: string) => existsSync(join(root, path)),
  };
}

test('the first time makes all of it, the second nothing, a new program replaces the old one', async () => {
  const { install, root, program, read } = await image();
  const links = ['multi-user.target.wants/docker-volume-ebs.service', 'sockets.target.wants/docker-volume-ebs.socket'];
  expect(await install()).toEqual([
    'copy this program to /usr/local/bin/docker-volume-ebs',
    ...pages.map((page) => `write /usr/local/share/${page}`),
    `write /${env}`,
    `write /${service}`,
    `write /${socket}`,
    ...links.map((link) => `link /etc/systemd/system/${link} to /etc/systemd/system/${link.split('/')[1]}`),
  ]);
  const modes = await Promise.all(
    ['usr/local/bin/docker-volume-ebs', env, service].map(async (path) => (await lstat(join(root, path))).mode & 0o777),
  );
  expect(modes).toEqual([0o755, 0o600, 0o644]);
  expect(await install()).toEqual([]);
  await writeFile(program, 'version 2');
  expect(await install()).toEqual(['replace /usr/local/bin/docker-volume-ebs']);
  expect(await read('usr/local/bin/docker-volume-ebs')).toBe('version 2');
});

test('a plan changes nothing', async () => {
  const { plan, root } = await image();
  expect((await plan()).changes).not.toEqual([]);
  expect(await readFile(join(root, 'etc'), 'utf8').catch(({ code }) => code)).toBe('ENOENT');
});

test('a new file of settings has every one of them, with its default, and sets none', async () => {
  const { install, read } = await image();
  await install();
  const text = await read(env);
  expect(parseEnv(text)).toEqual({});
  const asDefaults = parseEnv(text.replaceAll(/^#(?=DVE_)/gm, ''));
  expect(asDefaults).toEqual(Object.fromEntries(Object.values(settingsTable).map((each) => [each.env, each.fallback])));
});

test('settings that are given are set where they are, and everything else stays', async () => {
  const { install, read } = await image();
  await install(['DVE_SIZE=20', 'AWS_REGION=eu-west-1']);
  const first = await read(env);
  expect(parseEnv(first)).toEqual({ DVE_SIZE: '20', AWS_REGION: 'eu-west-1' });
  expect(first.split('\n').length).toBe((await read(env)).split('\n').length);
  expect(await install(['DVE_SIZE=30', 'DVE_TAGS=team=a b'])).toEqual([`change /${env}`]);
  const second = await read(env);
  expect(second).toBe(first.replace('DVE_SIZE=20', 'DVE_SIZE=30').replace(/^#DVE_TAGS=.*$/m, "DVE_TAGS='team=a b'"));
  expect(await install(['DVE_SIZE=30'])).toEqual([]);
});

test('who may read the settings, and who may run the program, is put right too', async () => {
  const { install, root } = await image();
  await install(['AWS_SECRET_ACCESS_KEY=precious']);
  await chmod(join(root, env), 0o644);
  await chmod(join(root, 'usr/local/bin/docker-volume-ebs'), 0o644);
  expect(await install()).toEqual(['replace /usr/local/bin/docker-volume-ebs', `change /${env}`]);
  expect((await lstat(join(root, env))).mode & 0o777).toBe(0o600);
  expect(await install()).toEqual([]);
});

test('a plan shows no secrets', () => {
  const text =
    'AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY=precious\n EBS_SECRETKEY = precious\n#AWS_SESSION_TOKEN=\n';
  expect(withoutSecrets(text)).toBe(
    'AWS_ACCESS_KEY_ID=AKIA\nAWS_SECRET_ACCESS_KEY=(not shown)\n EBS_SECRETKEY =(not shown)\n#AWS_SESSION_TOKEN=\n',
  );
});

test('what cannot be written is said, and leaves nothing half done', async () => {
  const { install, root } = await image();
  await mkdir(join(root, 'usr/local/bin/docker-volume-ebs'), { recursive: true });
  await expect(install()).rejects.toMatchObject({
    code: 'HOST_FAILED',
    message: expect.stringContaining('cannot write'),
  });
  expect(await readdir(join(root, 'usr/local/bin'))).toEqual(['docker-volume-ebs']);
});

test("REX-Ray's settings are taken, and those without a meaning are told", async () => {
  const { install, read } = await image();
  const said = await install(['REXRAY_FSTYPE=XFS', 'EBS_REGION=eu-west-1', 'HTTPS_PROXY=http://proxy:3128']);
  expect(said.at(-1)).toContain('EBS_REGION of REX-Ray has no meaning here.');
  expect(parseEnv(await read(env))).toEqual({
    REXRAY_FSTYPE: 'XFS',
    EBS_REGION: 'eu-west-1',
    HTTPS_PROXY: 'http://proxy:3128',
  });
});

test('of a setting that is there twice the one that counts is changed', async () => {
  const { install, read, root } = await image();
  await mkdir(join(root, 'etc/docker-volume-ebs'), { recursive: true });
  await writeFile(join(root, env), '# mine\nDVE_SIZE=1\nDVE_SIZE =2');
  await install(['DVE_SIZE=3']);
  expect(await read(env)).toBe('# mine\nDVE_SIZE=1\nDVE_SIZE=3\n');
});

test.each([
  ['DVE_NONSENSE=1', 'cannot set DVE_NONSENSE: there is no such setting'],
  ['PATH=/bin', 'cannot set PATH: there is no such setting'],
  ['size=1', 'install takes settings as NAME=value, not "size=1"'],
  ['DVE_SIZE', 'install takes settings as NAME=value'],
  ['DVE_SIZE=ten', 'cannot use DVE_SIZE="ten": it takes a whole number of GiB'],
  ['REXRAY_FSTYPE=zfs', `cannot use REX-Ray's REXRAY_FSTYPE="zfs" as DVE_FS_TYPE`],
  ['DVE_TAGS=nonsense', 'cannot use DVE_TAGS="nonsense": it takes key=value'],
  ['DVE_TAGS=a=b\nDVE_SIZE=1', 'cannot set DVE_TAGS: its value has a control character'],
  ['DVE_ROOT=/data/my volumes', 'cannot use DVE_ROOT "/data/my volumes": it takes an absolute path of letters'],
  ['DVE_SOCKET=/run/%i.sock', 'cannot use DVE_SOCKET'],
])('%j is refused', async (word, message) => {
  const { plan } = await image();
  await expect(Promise.resolve().then(() => plan([word]))).rejects.toThrow(message);
  await expect(Promise.resolve().then(() => plan([word]))).rejects.toMatchObject({ code: 'INVALID_OPTION' });
});

test('a setting in the file that is wrong is refused too', async () => {
  const { plan, root } = await image();
  await mkdir(join(root, 'etc/docker-volume-ebs'), { recursive: true });
  await writeFile(join(root, env), 'DVE_LINGER=soon\n');
  await expect(plan()).rejects.toThrow('cannot use DVE_LINGER="soon"');
});

test('the units know the program, the socket and the root directory', async () => {
  const { install, read } = await image();
  await install(['DVE_SOCKET=/run/x.sock', 'DVE_ROOT=/data/dve'], { prefix: '/usr' });
  expect(await read(socket)).toContain('\nListenStream=/run/x.sock\n');
  expect(await read(service)).toContain('\nRequiresMountsFor=/data/dve\n');
  expect(await read(service)).toContain('\nExecStart=/usr/bin/docker-volume-ebs serve\n');
});

test('it stays where it is, until another prefix is given; dvdcli follows', async () => {
  const { install, root } = await image();
  await install([], { prefix: '/usr', dvdcli: true });
  expect(await install(['DVE_SIZE=20'])).toEqual([`change /${env}`]);
  const said = await install([], { prefix: '/opt/dve', dvdcli: true });
  expect(said).toContain('copy this program to /opt/dve/bin/docker-volume-ebs');
  expect(said.at(-1)).toBe('/usr/bin/docker-volume-ebs stays; the service does not use it any more');
  expect(await readlink(join(root, 'usr/bin/dvdcli'))).toBe('/opt/dve/bin/docker-volume-ebs');
});

test('the root directory is not changed while volumes are held in the old one', async () => {
  const { install, root, read } = await image();
  await install(['DVE_ROOT=/data']);
  await mkdir(join(root, 'data/state/volumes'), { recursive: true });
  await writeFile(join(root, 'data/state/volumes/a.json'), '{}');
  await expect(install(['DVE_ROOT=/other'])).rejects.toThrow('this node holds a. Run docker-volume-ebs drain first.');
  expect(parseEnv(await read(env))).toEqual({ DVE_ROOT: '/data' });
  await rm(join(root, 'data/state/volumes/a.json'));
  await install(['DVE_ROOT=/other']);
  expect(await read(service)).toContain('\nRequiresMountsFor=/other\n');
});

test('the service has no directive that gives it a mount namespace', async () => {
  const { install, read } = await image();
  await install();
  // systemd.exec(5); those of Protect… that imply none are not used either.
  expect(await read(service)).not.toMatch(
    /^(Private|Protect|Root|Bind|Temporary|ReadOnly|ReadWrite|Inaccessible|Exec(Paths)?=|NoExec|Mount|DynamicUser|DevicePolicy|DeviceAllow)/m,
  );
});

test('dvdcli is linked where there is none; that of somebody else is left alone', async () => {
  const { install, uninstall, root, has } = await image();
  await mkdir(join(root, 'usr/bin'), { recursive: true });
  await writeFile(join(root, 'usr/bin/dvdcli'), 'another');
  const said = await install([], { dvdcli: true });
  expect(said).toContain('link /usr/local/bin/dvdcli to /usr/local/bin/docker-volume-ebs');
  expect(said).toContain('/usr/bin/dvdcli is another program: left alone');
  expect(await readlink(join(root, 'usr/local/bin/dvdcli'))).toBe('/usr/local/bin/docker-volume-ebs');
  await uninstall();
  expect([has('usr/bin/dvdcli'), has('usr/local/bin/dvdcli')]).toEqual([true, false]);
});

test('uninstall removes what install has made, wherever, and with --purge what the daemon has', async () => {
  const { install, uninstall, root, has } = await image();
  await install(['DVE_ROOT=/data'], { prefix: '/opt/dve' });
  await mkdir(join(root, 'data/state/volumes'), { recursive: true });
  await mkdir(join(root, 'data/theirs'), { recursive: true });
  expect(await uninstall('--dry-run')).toBe(0);
  expect(has('opt/dve/bin/docker-volume-ebs')).toBe(true);
  expect(await uninstall()).toBe(0);
  expect([service, socket, 'opt/dve/bin/docker-volume-ebs'].map(has)).toEqual([false, false, false]);
  expect([env, 'data/state/volumes'].map(has)).toEqual([true, true]);
  expect(await uninstall('--purge')).toBe(0);
  expect(['etc/docker-volume-ebs', 'data/state', 'data/theirs'].map(has)).toEqual([false, false, true]);
  expect(await uninstall()).toBe(0);
});

test('uninstall never removes what is in a mountpoint, whatever the table of mounts says', async () => {
  const { install, uninstall, root, has } = await image();
  await install(['DVE_ROOT=/link/']);
  await mkdir(join(root, 'data/volumes/a'), { recursive: true });
  await writeFile(join(root, 'data/volumes/a/precious'), '');
  await symlink('data', join(root, 'link'));
  await expect(uninstall('--force', '--purge')).rejects.toThrow('ENOTEMPTY');
  expect([service, 'data/volumes/a/precious'].map(has)).toEqual([false, true]);
  await rm(join(root, 'data/volumes/a/precious'));
  await uninstall('--purge');
  expect(has('data/volumes')).toBe(false);
});

test('the unit by which uninstall finds the program goes last', async () => {
  const { install, uninstall, root } = await image();
  await install([], { dvdcli: true });
  const said = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  await uninstall();
  const lines = said.mock.calls.map(([text]) => text);
  said.mockRestore();
  expect(lines.at(-1)).toBe(`remove ${join(root, service)}\n`);
});

test('uninstall refuses while the journal has volumes, unless it is forced', async () => {
  const { install, uninstall, root, has } = await image();
  await install(['DVE_ROOT=/data']);
  await mkdir(join(root, 'data/state/volumes'), { recursive: true });
  await writeFile(join(root, 'data/state/volumes/a=20b.json'), '{}');
  await expect(uninstall()).rejects.toThrow('cannot uninstall: this node holds a b. Run docker-volume-ebs drain first');
  expect(has(service)).toBe(true);
  expect(await uninstall('--force')).toBe(0);
  expect([service, 'data/state/volumes/a=20b.json'].map(has)).toEqual([false, true]);
});

test('a journal that cannot be read is not taken for an empty one', async () => {
  const { install, uninstall, root, has } = await image();
  await install(['DVE_ROOT=/data']);
  await mkdir(join(root, 'data/state'), { recursive: true });
  await symlink('volumes', join(root, 'data/state/volumes'));
  await expect(uninstall()).rejects.toThrow('ELOOP');
  expect(has(service)).toBe(true);
});

test('what Node runs from a script is not installed', () => {
  const main = join(import.meta.dirname, '../../src/cli/main.ts');
  const { status, stderr } = spawnSync(process.execPath, [main, 'install', '--dry-run'], { encoding: 'utf8' });
  expect(status).toBe(1);
  expect(stderr).toBe(
    'docker-volume-ebs: cannot install: this is a script that Node runs, and what is installed is one executable file. Run the install of docker-volume-ebs-linux-amd64 or -arm64, which npm run executable builds.\n',
  );
});
