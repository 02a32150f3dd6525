import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseMountinfo } from '../../src/host/mountinfo.ts';
import { openPage } from '../docs/page.ts';
import { dvdi } from '../support/dvdi-client.ts';
import { builtExecutable } from '../support/executable.ts';
import { requires } from '../support/requirements.ts';
import { eventually, type TestSandbox, testSandbox } from '../support/sandbox.ts';
import { bootMachine, type SystemdMachine } from '../support/systemd-machine.ts';

const page = openPage('docs/install.md');
const { skip } = requires('root', 'loop', 'dpkg-query', 'systemd', 'curl');

/** Serves the executable under the names that the page downloads; a new release is any other file. */
async function serveRelease(executable: string): Promise<{ url: string; next(): void; server: Server }> {
  let released = false;
  const server = createServer((_request, response) => {
    const file = createReadStream(executable);
    file.pipe(response, { end: false });
    // What follows the last section of an ELF file is nobody's.
    file.on('end', () => response.end(released ? 'next' : ''));
  });
  await new Promise<void>((done) => void server.listen(0, '127.0.0.1', done));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    next: () => {
      released = true;
    },
    server,
  };
}

/** The sandbox's first instance as the settings of a drop-in of its unit; the node's own daemon is ended for it. */
async function instanceFor(box: TestSandbox): Promise<{ home: string; dropIn: string }> {
  const { pid, socket, instanceId } = box.node(0);
  const wanted = /^(AWS_(REGION|ENDPOINT_URL_EC2|EC2_METADATA_SERVICE_ENDPOINT)|DVE_(DEVICE|SYSFS)_ROOT)=/;
  const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0').filter((each) => wanted.test(each));
  process.kill(pid, 'SIGTERM');
  await eventually(async () => box.node(instanceId).pid === 0);
  const lines = ['DVE_LINGER=0.5', ...environment].map((each) => `Environment=${each}\n`);
  return { home: dirname(socket), dropIn: `[Service]\n${lines.join('')}` };
}

describe.skipIf(skip)('installed as docs/install.md says, where systemd is process 1 and there is no Node', () => {
  let box: TestSandbox;
  let dir: string;
  let machine: SystemdMachine;
  let release: Awaited<ReturnType<typeof serveRelease>>;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'dve-install-'));
    [release, box] = await Promise.all([builtExecutable().then(serveRelease), testSandbox({ nodes: 1 })]);
    const { home, dropIn } = await instanceFor(box);
    // What the page has one install, and nothing else.
    const [, words = ''] = /apt-get install -y (.*)/.exec(page.take('apt-get')) ?? [];
    machine = await bootMachine(dir, words.trim().split(' '), [home]);
    await machine.ok(`mkdir -p /etc/systemd/system/docker-volume-ebs.service.d`);
    await writeFile(machine.path('/etc/systemd/system/docker-volume-ebs.service.d/sandbox.conf'), dropIn);
  });
  afterAll(async () => {
    await machine?.stop();
    await box?.close();
    release?.server.close();
    await rm(dir, { recursive: true, force: true });
  });

  /** Runs a block of the page in the machine. */
  const follow = (start: string, replace: Record<string, string> = {}) =>
    machine.ok(Object.entries(replace).reduce((text, [word, by]) => text.replaceAll(word, by), page.take(start)));
  const download = 'curl -fO RELEASE';
  const call = async (verb: string, body: object) => {
    const answer = await dvdi(machine.path('/run/docker/plugins/ebs.sock')).call(`VolumeDriver.${verb}`, body);
    expect(answer.body.Err).toBe('');
    return answer.body;
  };
  const mainPid = async () => Number(await machine.ok('systemctl show -P MainPID docker-volume-ebs.service'));
  /** What the machine's process 1 has mounted below DVE_ROOT, as every container of it would. */
  const mounted = async () =>
    parseMountinfo(await readFile(`/proc/${machine.pid}/mountinfo`, 'utf8'))
      .map(({ mountpoint }) => mountpoint)
      .filter((mountpoint) => mountpoint.startsWith('/var/lib/docker-volume-ebs/'));
  const payload = () => readFile(machine.path('/var/lib/docker-volume-ebs/volumes/data/data/file'), 'utf8');

  it('there is no Node, and what the page has one install is all it needs', async () => {
    expect((await machine.shell('type node npm')).code).not.toBe(0);
    await follow('apt-get');
  });

  it('three lines install it: it answers, and starts at boot', async () => {
    const said = await follow(download, { RELEASE: release.url });
    expect(said).toContain('The daemon answers at /run/docker/plugins/ebs.sock.');
    expect(await follow('systemctl status')).toContain('"by":"systemd","msg":"listening"');
    expect(await machine.ok('systemctl is-enabled docker-volume-ebs.socket docker-volume-ebs.service')).toBe(
      'enabled\nenabled',
    );
    expect((await stat(machine.path('/run/docker/plugins/ebs.sock'))).mode & 0o777).toBe(0o600);
    expect(await machine.ok('docker-volume-ebs version')).toMatch(/^\d+\.\d+\.\d+$/);
  });

  it('systemd finds no fault in the units', async () => {
    const units = '/etc/systemd/system/docker-volume-ebs.service /etc/systemd/system/docker-volume-ebs.socket';
    expect(await machine.shell(`systemd-analyze verify --man=no ${units}`)).toEqual({
      code: 0,
      stdout: '',
      stderr: '',
    });
  });

  it('settings are kept, whatever is in their values, and reach the daemon', async () => {
    await follow("docker-volume-ebs install DVE_ON_REMOVE=snapshot 'DVE_TAGS");
    const pid = await mainPid();
    const environment = (await machine.ok(`cat -v /proc/${pid}/environ`)).split('^@');
    expect(environment).toEqual(
      expect.arrayContaining(['DVE_CLUSTER=production', 'DVE_ON_REMOVE=snapshot', 'DVE_TAGS=team=data storage']),
    );
    expect(await machine.ok('docker-volume-ebs install')).toContain('Nothing to change.');
    expect(await mainPid()).toBe(pid);
    const refused = await machine.shell('docker-volume-ebs install DVE_SIZE=ten');
    expect(refused).toMatchObject({ code: 2, stderr: expect.stringContaining('cannot use DVE_SIZE="ten"') });
  });

  it('dvdcli is linked, and a socket elsewhere is moved to', async () => {
    await follow('./docker-volume-ebs-linux-amd64 install --dvdcli');
    expect(await machine.ok('dvdcli --help')).toContain('Usage: dvdcli');
    await machine.ok('docker-volume-ebs install DVE_SOCKET=/run/docker/plugins/other.sock');
    expect(await machine.ok('ls /run/docker/plugins')).toBe('other.sock');
    await machine.ok('docker-volume-ebs install DVE_SOCKET=');
    expect(await machine.ok('ls /run/docker/plugins')).toBe('ebs.sock');
  });

  it('the daemon has only the rights of its unit, and the mounts of process 1', async () => {
    const pid = await mainPid();
    const status = await machine.ok(`cat /proc/${pid}/status`);
    expect(status).toMatch(/^NoNewPrivs:\s1$/m);
    expect(status).toMatch(/^Seccomp:\s2$/m);
    const bounding = BigInt(`0x${/^CapBnd:\s(\w+)$/m.exec(status)?.[1]}`);
    // CAP_SYS_ADMIN, but not CAP_SYS_MODULE, CAP_NET_ADMIN, CAP_SETUID.
    expect([21n, 16n, 12n, 7n].map((bit) => (bounding >> bit) & 1n)).toEqual([1n, 0n, 0n, 0n]);
    expect(await machine.ok(`readlink /proc/${pid}/ns/mnt`)).toBe(await readlink(`/proc/${machine.pid}/ns/mnt`));
  });

  it('with these rights a filesystem is tried in a mount namespace of its own, and no other namespace is made', async () => {
    const unit = await readFile(machine.path('/etc/systemd/system/docker-volume-ebs.service'), 'utf8');
    const rights = unit
      .split('\n')
      .filter((line) => /^(CapabilityBoundingSet|NoNew|Restrict|SystemCall)[A-Za-z]*=/.test(line));
    expect(rights).toContain('RestrictNamespaces=mnt');
    const confined = `systemd-run --quiet --service-type oneshot ${rights.map((line) => `--property '${line}'`).join(' ')}`;
    await machine.ok(`${confined} unshare --mount mount -t tmpfs tmpfs /tmp`);
    expect((await machine.shell(`${confined} --unit userns unshare --user true`)).code).not.toBe(0);
    expect(await machine.ok('journalctl --unit userns')).toContain('unshare failed: Operation not permitted');
  });

  it('a call starts the service where it was stopped, and the mount reaches the host and its containers', async () => {
    await machine.ok('systemctl stop docker-volume-ebs.service');
    await machine.ok('systemd-run --unit container --property PrivateMounts=yes sleep infinity');
    expect(await mainPid()).toBe(0);
    await call('Create', { Name: 'data', Opts: { size: '1', mode: '2770', gid: '999' } });
    expect(await mainPid()).toBeGreaterThan(0);
    const { Mountpoint } = await call('Mount', { Name: 'data', ID: 'a' });
    expect(await machine.ok(`stat --format %a:%g ${Mountpoint}`)).toBe('2770:999');
    await writeFile(machine.path(join(String(Mountpoint), 'file')), 'precious');
    expect(await mounted()).toEqual(['/var/lib/docker-volume-ebs/volumes/data']);
    expect(await machine.ok(`cat ${Mountpoint}/file`)).toBe('precious');
    const inside = await machine.ok('cat /proc/$(systemctl show -P MainPID container)/mountinfo');
    expect(parseMountinfo(inside).map(({ mountpoint }) => mountpoint)).toContain(dirname(String(Mountpoint)));
    await machine.ok('systemctl stop container');
  });

  it('killed, it is started again: who calls meanwhile is answered, and mounts stay', async () => {
    const before = await mainPid();
    await machine.ok('systemctl kill --signal KILL --kill-whom main docker-volume-ebs.service');
    expect(await call('Get', { Name: 'data' })).toMatchObject({
      Volume: { Mountpoint: '/var/lib/docker-volume-ebs/volumes/data/data' },
    });
    expect(await mainPid()).not.toBe(before);
    expect(await payload()).toBe('precious');
  });

  it('a new release replaces it: it restarts, and mounts stay', async () => {
    const before = await mainPid();
    release.next();
    expect(await follow(download, { RELEASE: release.url })).toContain('replace /usr/local/bin/docker-volume-ebs');
    expect(await mainPid()).not.toBe(before);
    expect(await payload()).toBe('precious');
    await call('Get', { Name: 'data' });
  });

  it('an install that ended before the restart is finished by the next; so is a socket that somebody removed', async () => {
    const before = await mainPid();
    await machine.ok('touch /usr/local/bin/docker-volume-ebs; rm /run/docker/plugins/ebs.sock');
    expect(await machine.ok('docker-volume-ebs install')).toContain('Nothing to change.');
    expect(await mainPid()).not.toBe(before);
    await call('Get', { Name: 'data' });
    expect(await payload()).toBe('precious');
  });

  it('it is not uninstalled while it holds a volume', async () => {
    const refused = await machine.shell('docker-volume-ebs uninstall');
    expect(refused).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'docker-volume-ebs: cannot uninstall: this node holds data. Run docker-volume-ebs drain first, or give --force to leave them attached as they are.\n',
    });
    const purged = await machine.shell('docker-volume-ebs uninstall --force --purge');
    expect(purged.stderr).toContain('something is mounted at /var/lib/docker-volume-ebs/volumes/data');
    expect(await payload()).toBe('precious');
    expect(await mainPid()).toBeGreaterThan(0);
  });

  it('drained, it is, and leaves settings and journal for the next install', async () => {
    await call('Unmount', { Name: 'data', ID: 'a' });
    await follow('docker-volume-ebs drain');
    await box.detached('data');
    const names = '( -name "*docker-volume-ebs*" -o -name dvdcli )'.replaceAll(/[()]/g, '\\$&');
    // The lock stays in /dev, which a reboot empties: a daemon of the managed plugin may hold it.
    const devices = join(dirname(box.node(0).socket), 'dev');
    const left = `find / -xdev ${names} -not -path "/root/*" -not -path "${devices}/*" | sort`;
    expect((await machine.ok(left)).split('\n')).toEqual([
      '/etc/docker-volume-ebs',
      '/etc/systemd/system/docker-volume-ebs.service.d',
      '/var/lib/docker-volume-ebs',
    ]);
    expect((await machine.shell('ls /run/docker/plugins/ebs.sock')).code).not.toBe(0);
    expect(await machine.ok('systemctl list-units --all --plain --no-legend "docker-volume-ebs*"')).toBe('');
    expect(await box.volumes('data')).toMatchObject([{ State: 'available' }]);
    await machine.ok('./docker-volume-ebs-linux-amd64 uninstall --purge');
    expect(await machine.ok(left)).toBe('/etc/systemd/system/docker-volume-ebs.service.d');
  });

  it('it is not installed beside a daemon that runs otherwise', async () => {
    await machine.ok('systemd-run --unit other /root/docker-volume-ebs-linux-amd64 serve');
    await eventually(async () => (await machine.shell('ls /run/docker/plugins/ebs.sock')).code === 0);
    const refused = await machine.shell('./docker-volume-ebs-linux-amd64 install');
    expect(refused).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('a daemon answers at') });
    await machine.ok('systemctl stop other');
    expect((await machine.shell('ls /etc/systemd/system/docker-volume-ebs.service')).code).not.toBe(0);
  });

  it('an image gets all of it, and nothing is started', async () => {
    await machine.ok('mkdir /root/image');
    const said = await follow(download, { RELEASE: release.url, IMAGE: '/root/image' });
    expect(said).not.toContain('answers');
    expect((await machine.ok('cd image; find . -not -type d | sort')).split('\n')).toEqual([
      './etc/docker-volume-ebs/env',
      './etc/systemd/system/docker-volume-ebs.service',
      './etc/systemd/system/docker-volume-ebs.socket',
      './etc/systemd/system/multi-user.target.wants/docker-volume-ebs.service',
      './etc/systemd/system/sockets.target.wants/docker-volume-ebs.socket',
      './usr/local/bin/docker-volume-ebs',
      './usr/local/share/bash-completion/completions/docker-volume-ebs',
      './usr/local/share/fish/vendor_completions.d/docker-volume-ebs.fish',
      './usr/local/share/man/man8/docker-volume-ebs.8',
      './usr/local/share/zsh/site-functions/_docker-volume-ebs',
    ]);
    expect(await machine.ok('systemctl list-units --all --plain --no-legend "docker-volume-ebs*"')).toBe('');
    const half = '/etc/systemd/system/docker-volume-ebs.service';
    await machine.ok(`cp image${half} ${half}`);
    expect(await machine.ok('./docker-volume-ebs-linux-amd64 uninstall')).toBe(`remove ${half}`);
    await machine.ok('./docker-volume-ebs-linux-amd64 uninstall --root /root/image --purge');
    expect(await machine.ok('find image -not -type d')).toBe('');
  });
});
