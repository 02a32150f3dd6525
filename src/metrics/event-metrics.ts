import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import { type Events, listen } from '../events.ts';
import { prefix } from './measures.ts';

/** Local work: 1 ms to a minute. */
const quick = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60];
/** What waits for EC2: up to the 110 s after which a caller is answered without it, and beyond. */
const slow = [0.5, 1, 2, 3, 5, 8, 12, 20, 30, 60, 110, 300, 900];

/**
 * Counts what the rooms publish (events.ts) from now on.
 * @param onError told when an event could not be counted; nothing else comes of it.
 */
export function countEvents(registry: Registry, onError: (error: unknown) => void): void {
  const registers = [registry];
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter({ name: `${prefix}${name}`, help, labelNames, registers });
  const histogram = <L extends string>(name: string, help: string, buckets: number[], labelNames: readonly L[] = []) =>
    new Histogram({ name: `${prefix}${name}`, help, buckets, labelNames, registers });
  // Published events are told where they happen: nothing that goes wrong here may end the operation, or the daemon.
  const on = <E extends keyof Events>(event: E, count: (message: Events[E]) => void) =>
    listen(event, (message) => {
      try {
        count(message);
      } catch (error) {
        onError(error);
      }
    });

  const operations = counter(
    'operations_total',
    'Requests answered on the daemon socket, by verb and by outcome: ok or the code of the error.',
    ['verb', 'outcome'],
  );
  const operationTime = histogram(
    'operation_duration_seconds',
    'How long requests took that succeeded, by verb.',
    [...quick, 110, 300],
    ['verb'],
  );
  on('operation', ({ verb, outcome, seconds }) => {
    operations.inc({ verb, outcome });
    if (outcome === 'ok') operationTime.observe({ verb }, seconds);
  });

  const calls = counter(
    'ec2_calls_total',
    'Requests sent to EC2, repeated ones too, by API action and by outcome: ok, aborted or the code of the error.',
    ['action', 'outcome'],
  );
  const callTime = histogram('ec2_call_duration_seconds', 'How long EC2 took to answer a request.', quick, ['action']);
  const turnTime = histogram(
    'ec2_call_wait_seconds',
    'How long a request to EC2 waited for its turn in our own share of the rate.',
    quick,
    ['action'],
  );
  const success = new Gauge({
    name: `${prefix}ec2_last_success_timestamp_seconds`,
    help: 'When EC2 last answered a request without an error. An idle daemon sends none.',
    registers,
  });
  success.remove({});
  on('ec2-call', ({ action, outcome, seconds, waitedSeconds }) => {
    calls.inc({ action, outcome });
    callTime.observe({ action }, seconds);
    turnTime.observe({ action }, waitedSeconds);
    if (outcome === 'ok') success.setToCurrentTime();
  });

  const attachTime = histogram('attach_duration_seconds', 'From AttachVolume to a disk that can be used here.', slow);
  on('attach', ({ seconds }) => attachTime.observe(seconds));
  const detachTime = histogram('detach_duration_seconds', 'From DetachVolume to the disk gone from here.', slow);
  on('detach', ({ seconds }) => detachTime.observe(seconds));
  const stepTime = histogram(
    'filesystem_step_duration_seconds',
    'How long the steps from a disk to a mount took that succeeded: mkfs, fsck, mount.',
    quick,
    ['step'],
  );
  for (const step of ['mkfs', 'fsck', 'mount'] as const) on(step, ({ seconds }) => stepTime.observe({ step }, seconds));

  const snapshots = counter(
    'snapshots_total',
    'Snapshots, by kind (manual, scheduled) and by outcome: ok once begun, or the code of the error; of old ones of schedules deleted or not-deleted.',
    ['kind', 'outcome'],
  );
  on('snapshot', ({ kind, outcome }) => snapshots.inc({ kind, outcome }));
  const freezeTime = histogram('freeze_duration_seconds', 'How long writers stood still for a snapshot.', quick);
  on('freeze', ({ seconds }) => freezeTime.observe(seconds));
  const rollbackTime = histogram(
    'rollback_duration_seconds',
    'How long rollbacks took until the name meant the volume made from the snapshot: ok, or the code of the error.',
    slow,
    ['outcome'],
  );
  on('rollback', ({ outcome, seconds }) => rollbackTime.observe({ outcome }, seconds));
  const verificationTime = histogram(
    'verification_duration_seconds',
    'How long verifications of snapshots took, by what they found: ok, failed, or unknown where that could not be told.',
    [...slow, 3600, 14_400],
    ['outcome'],
  );
  on('verification', ({ outcome, seconds }) => verificationTime.observe({ outcome }, seconds));
  const takeoverTime = histogram(
    'takeover_duration_seconds',
    'How long it took until a volume that another instance had was free: let-go by its owner, fenced, or the code of the error.',
    slow,
    ['policy', 'outcome'],
  );
  on('takeover', ({ policy, outcome, seconds }) => takeoverTime.observe({ policy, outcome }, seconds));
  const growths = counter(
    'filesystem_growths_total',
    'Growth of mounted volumes: filesystems that have grown to their disks, or were refused to; larger disks that EC2 was asked for by volumes that grow by themselves, or denied.',
    ['outcome'],
  );
  on('growth', ({ outcome }) => growths.inc({ outcome }));
  const gauge = (name: string, help: string) => new Gauge({ name: `${prefix}${name}`, help, registers });
  const known = 'as far as this node knows: what it has put there, and what its last listing showed';
  const trashItems = gauge('trash_items', `Volumes and snapshots in the trash, ${known}.`);
  const trashBytes = gauge('trash_bytes', `The size of the volumes and snapshots in the trash, ${known}.`);
  on('trash', ({ count, gib }) => {
    trashItems.set(count);
    trashBytes.set(gib * 2 ** 30);
  });
  const purges = counter('purges_total', 'Volumes and snapshots that this node has deleted from the trash for good.');
  on('purge', () => purges.inc());
  const ghosts = counter(
    'ghosts_total',
    'Disks that went from this machine without us, so that their mounts were taken away.',
  );
  on('ghost', () => ghosts.inc());
}
