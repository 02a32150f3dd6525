import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { onTestFinished, vi } from 'vitest';
import { loadSettings, type Settings } from '../../../src/config.ts';
import { tagKeys } from '../../../src/ebs/tags.ts';
import { openAudit } from '../../../src/fencing/audit.ts';
import type { NoticeListener } from '../../../src/host/notices.ts';
import { openDriver } from '../../../src/volumes/driver.ts';
import { openJournal } from '../../../src/volumes/state/journal.ts';
import { FakeAudit } from '../../support/fake-audit.ts';
import { FakeEc2 } from '../../support/fake-ec2.ts';
import { FakeHost } from '../../support/fake-host.ts';
import { FakeJournal } from '../../support/fake-node.ts';
import { pass, played } from '../../support/virtual-time.ts';

export const identity = { instanceId: 'i-1', availabilityZone: 'eu-west-1a', region: 'eu-west-1' };

/** A driver on i-1, which takes `maximum` volumes; another instance, i-2, that runs; and what IMDS announces to i-1. */
export async function bench(given: Partial<Settings> = {}, { maximum }: { maximum?: number } = {}) {
  const ec2 = new FakeEc2();
  if (maximum !== undefined) ec2.attachmentLimits.set('m5.large', { maximum, kind: 'dedicated' });
  ec2.addInstance('i-1');
  const host = new FakeHost(ec2, 'i-1');
  const audit = new FakeAudit();
  const journal = new FakeJournal();
  let announce: NoticeListener['onNotices'] | undefined;
  const settings = { ...loadSettings(['--root', '/ebs'], {}), ...given };
  const lines: Record<string, unknown>[] = [];
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  const driver = await openDriver(settings, log, {
    openHost: async () => host,
    openJournal: async () => journal,
    openAudit: () => audit.audit,
    openEc2: () => ec2,
    readIdentity: async () => identity,
    watchNotices: ({ onNotices }) => {
      announce = onNotices;
      return { close: () => undefined };
    },
  });
  onTestFinished(async () => {
    void driver.close();
  });
  await pass(0);
  const { operator } = driver;
  /** A volume that another instance has. */
  const elsewhere = async (name = 'a', owner = 'i-2') => {
    await played(driver.create(name, {}));
    const volume = [...ec2.volumes.values()].at(-1);
    if (volume === undefined) throw new Error('not created');
    if (!ec2.instances.has(owner)) ec2.addInstance(owner);
    return { volume, attachment: ec2.addAttachment(volume, owner) };
  };
  return {
    ec2,
    host,
    audit,
    journal,
    driver,
    operator,
    fence: operator.fence,
    elsewhere,
    lines,
    announced: () => announce,
  };
}

/** A driver on i-1 whose journal and audit are files, in real time; `again` is another one on the same files. */
export async function onFiles(
  ec2: FakeEc2,
  root?: string,
): Promise<{ driver: OpenDriver; again(): Promise<OpenDriver> }> {
  vi.useRealTimers();
  const directory = root ?? (await mkdtemp(join(tmpdir(), 'operator-')));
  if (root === undefined) onTestFinished(() => rm(directory, { recursive: true }));
  const driver = await openDriver(loadSettings(['--root', directory], {}), pino({ level: 'silent' }), {
    openHost: async () => new FakeHost(ec2, 'i-1'),
    openJournal,
    openAudit,
    openEc2: () => ec2,
    readIdentity: async () => identity,
  });
  onTestFinished(() => driver.close());
  return { driver, again: async () => (await onFiles(ec2, directory)).driver };
}

export type OpenDriver = Awaited<ReturnType<typeof openDriver>>;

/** A free volume of the cluster and one that i-1 has: what every permission can be asked about. */
export function addAskable(ec2: FakeEc2): void {
  const tags = { [tagKeys.cluster]: 'default' };
  ec2.addVolume({ tags });
  ec2.addAttachment(ec2.addVolume({ tags }), 'i-1', '/dev/xvdcz');
}
