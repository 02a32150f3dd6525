import { uptime } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Settings } from '../config.ts';
import { openEc2 } from '../ebs/ec2.ts';
import { DriverError, toDriverError } from '../errors.ts';
import { openAudit } from '../fencing/audit.ts';
import { openFencing } from '../fencing/fencing.ts';
import { openHost } from '../host/host.ts';
import { readIdentity } from '../host/identity.ts';
import { lockInstance } from '../host/instance-lock.ts';
import { watchNotices } from '../host/notices.ts';
import { operation, over } from '../log.ts';
import { connect } from './connect.ts';
import { recall } from './lifecycle/recall.ts';
import { openControls } from './operator/controls.ts';
import { createHealth, watchContact } from './operator/health.ts';
import { createOperator } from './operator/operator.ts';
import { createNodeStatus, type Opened } from './operator/status.ts';
import { checkDefaults } from './options/defaults.ts';
import { encodeName, isName } from './options/names.ts';
import { createVolume } from './requests/create.ts';
import { get, list, path, type Showing } from './requests/get.ts';
import { countedMount, holdVolume, letVolumeGo } from './requests/hold.ts';
import { removeVolume } from './requests/remove.ts';
import { openGhosts } from './state/ghosts.ts';
import { openJournal } from './state/journal.ts';
import type { LocalState, World } from './state/local.ts';
import { createNameMemory } from './state/memory.ts';
import { type Node, ofNode } from './state/node.ts';
import { awaited, waitOf } from './state/waits.ts';
import type { VolumeDriver } from './types.ts';

/** dockerd waits 60 s for the quick verbs (moby daemon/volume/drivers/proxy.go): an error of ours must come first. */
const connectWaitMs = 45_000;
/** With this a call is told the known reason, while that is looked after further. */
const knownWaitMs = 3000;
/** While a machine boots its network is on its way, and a container that is refused its volume is not started again. */
const bootSeconds = 180;
/** From the start on; a known volume is told of from memory then. */
const meetMs = 2000;

/** This machine and its EC2. */
export const realWorld: World = {
  openHost,
  openJournal,
  openAudit,
  // Where the environment names a region it wins; else it is the instance's own, which the SDK's chain does not ask for.
  openEc2: (cluster, region, log) => openEc2({ cluster, region: process.env['AWS_REGION'] ? undefined : region, log }),
  readIdentity: (settings) => readIdentity(settings, process.env),
  lockInstance: (place, log) => lockInstance(place, (message) => log.warn(message)),
  watchNotices: (listener) => watchNotices(process.env, listener),
};

/**
 * Opens the driver of this node: what it holds is known when this returns, EC2 is met in the background.
 * @param world what it acts on; tests put themselves between.
 * @throws DriverError INVALID_OPTION for the tags and scheduler settings; HOST_FAILED or JOURNAL_FAILED when the root cannot be used.
 */
export async function openDriver(
  settings: Settings,
  log: Logger,
  world: World = realWorld,
): Promise<VolumeDriver & { close(): Promise<void> }> {
  const local = await openLocal(settings, log, world);
  const contact = watchContact();
  const closing = new AbortController();
  const connection = connect(local, closing.signal);
  connection.node.catch(() => undefined);
  let opened: Opened | undefined;
  const controls = connection.node.then((node) => {
    const all = openControls(node, world, auditFile(settings), closing.signal);
    opened = { node, notices: all.notices, verifications: all.verifications };
    return all;
  });
  controls.catch(() => undefined);

  const connected = async (tried: string): Promise<Node> => {
    const unknown = () => {
      throw new DriverError('STILL_WORKING', { tried, why: connection.reason(), todo: 'Try again' });
    };
    const late = sleep(connectWaitMs, undefined, { ref: false }).then(unknown);
    const known = connection.failed
      .then(() =>
        sleep((world.uptime ?? uptime)() < bootSeconds ? connectWaitMs : knownWaitMs, undefined, { ref: false }),
      )
      .then(unknown);
    try {
      return await Promise.race([connection.node, late, known]);
    } catch (error) {
      if (!closing.signal.aborted) throw error;
      const why = 'this daemon is being stopped';
      throw new DriverError('STILL_WORKING', { tried, why, todo: 'Try again once it runs again' });
    }
  };
  /** A verb on one volume: its name is checked, its errors name the volume. */
  const onVolume = <T>(
    op: string,
    name: string,
    work: (node: Node) => Promise<T>,
    whenConnected = connected,
  ): Promise<T> =>
    operation.run({ op, volume: name }, async () => {
      const tried = `${op} it`;
      try {
        encodeName(name);
        const answer = await work(await whenConnected(tried));
        over(log, { op, volume: name });
        return answer;
      } catch (error) {
        throw toDriverError(error, tried).about(name);
      }
    });
  const met = Promise.race([connection.node.then(() => true), sleep(meetMs, false, { ref: false })]).catch(() => false);
  let isMet = false;
  connection.node.then(
    () => {
      isMet = true;
    },
    () => undefined,
  );
  /** For who only wants to see: what is not met 2 s after the start, and for a known reason, is not waited for. */
  const connectedSoon = async (tried: string): Promise<Node> => {
    await met;
    if (isMet || closing.signal.aborted) return connected(tried);
    const known = connection.failed.then(() => {
      throw new DriverError('STILL_WORKING', { tried, why: connection.reason(), todo: 'Try again' });
    });
    return Promise.race([connected(tried), known]);
  };
  const unmet = async () => (isMet || (await met) || isMet ? undefined : connection.reason());
  const showing = (whenConnected: Showing['connected']): Showing => ({ local, unmet, connected: whenConnected });
  const shown = async <T>(op: string, name: string, show: (from: Showing, name: string) => Promise<T>): Promise<T> => {
    const answer = await show(
      showing((work) => onVolume('find', name, work, connectedSoon)),
      name,
    );
    over(log, { op, volume: name });
    return answer;
  };
  const inTurn = <T>(op: string, name: string, work: (node: Node) => Promise<T>): Promise<T> =>
    onVolume(op, name, (node) => node.queue.run(name, () => work(node)));

  return {
    create: (name, options) => inTurn('create', name, (node) => createVolume(node, name, options)),
    remove: (name) => inTurn('remove', name, (node) => removeVolume(node, name)),
    mount: (name, id, caller) =>
      onVolume('mount', name, (node) =>
        countedMount(node, caller?.signal, () =>
          node.queue.run(name, () => holdVolume(node, name, id, caller?.signal, caller?.pid)),
        ),
      ),
    // What cannot exist is not mounted: an error would leave its container undone for good.
    unmount: async (name, id) => {
      if (isName(name)) await inTurn('unmount', name, (node) => letVolumeGo(node, name, id));
    },
    path: (name) => shown('path', name, path),
    get: (name) => shown('get', name, get),
    list: () => list(showing(async (work) => work(await connectedSoon('list the volumes')))),
    waitingFor: (name) => waitOf(local, name),
    awaited: (name = ofNode) => {
      const what = `this node to find out which instance it is (${connection.reason()})`;
      return awaited(local, name) ?? awaited(local, ofNode) ?? (isMet ? undefined : { what, share: undefined });
    },
    health: createHealth(local, connection, contact),
    operator: createOperator(
      (tried) => connectedSoon(tried).then(() => controls),
      createNodeStatus({ local, contact, opened: () => opened, reason: connection.reason }),
      () => local.ghosts.acknowledge(),
    ),
    async close() {
      closing.abort();
      const node = await Promise.race([connection.node.catch(() => undefined), sleep(0)]);
      await node?.queue.idle();
    },
  };
}

/** Where this node records what fencing decides and does. */
const auditFile = ({ root }: Settings): string => join(root, 'state', 'fencing.jsonl');

async function openLocal(settings: Settings, log: Logger, world: World): Promise<LocalState> {
  checkDefaults(settings);
  const host = await world.openHost(settings);
  const journal = await world.openJournal(join(settings.root, 'state'));
  const { held, damaged } = await journal.load();
  for (const { file, why } of damaged) {
    log.warn({ file, why }, 'a record of the journal cannot be read: EC2 and the mounts decide about its volume');
  }
  const local = {
    settings,
    log,
    world,
    host,
    journal,
    fencing: openFencing(settings, world.openAudit(auditFile(settings), log)),
    names: createNameMemory({
      known: await journal.loadKnown(settings.cluster),
      keep: (known) => journal.saveKnown(known),
    }),
    held: new Map(held.map((each) => [each.name, each])),
    waits: new Map<string, string>(),
    faults: new Map<string, string>(),
    ec2Says: new Map<string, string>(),
    sizes: new Map(),
    growths: new Map(),
    scheduleFaults: new Map(),
    ghosts: await openGhosts(journal, log),
    tagLooks: new Map(),
  };
  await operation.run({ op: 'start' }, () => recall(local));
  return local;
}
