import { toDriverError } from '../../errors.ts';
import { operation } from '../../log.ts';
import { encodeName } from '../options/names.ts';
import type { Controls } from './controls.ts';
import type { Operator } from './types.ts';

/**
 * The operator's commands.
 * @param controls gives what they act on, or throws DriverError STILL_WORKING when that takes too long.
 * @param status tells also while they are not there.
 */
export function createOperator(
  controls: (tried: string) => Promise<Controls>,
  status: Operator['status'],
  acknowledge: Operator['acknowledge'],
): Operator {
  const run = <T>(op: string, tried: string, work: (now: Controls) => T | Promise<T>): Promise<T> =>
    operation.run({ op }, async () => {
      try {
        return await work(await controls(tried));
      } catch (error) {
        throw toDriverError(error, tried);
      }
    });
  const onVolume = <T>(op: string, tried: string, name: string, work: (now: Controls) => Promise<T>): Promise<T> =>
    run(op, tried, (now) => {
      encodeName(name);
      return work(now);
    }).catch((error: unknown) => {
      throw toDriverError(error, tried).about(name);
    });
  return {
    status: (how) =>
      operation
        .run({ op: 'status' }, () => status(how))
        .catch((error: unknown) => {
          throw toDriverError(error, "tell this node's status");
        }),
    acknowledge: () => operation.run({ op: 'status' }, acknowledge),
    volumes: () => run('volumes', "list the cluster's volumes", ({ volumes }) => volumes()),
    drain: (reason) => run('drain', 'drain this node', ({ drain }) => drain.start(reason, 'operator')),
    drainStatus: () => run('drain', 'tell how far the drain is', ({ drain }) => drain.report()),
    cancelDrain: () => run('drain', 'end the drain', ({ drain }) => drain.cancel()),
    setOptions: (name, options, how) =>
      run('set', 'set its options', (controls) => controls.setOptions(name, options, how)),
    modify: (name, options, how) => onVolume('modify', 'modify it', name, (now) => now.modify(name, options, how)),
    modification: (name) =>
      onVolume('modify', 'tell how far its modification is', name, (now) => now.modification(name)),
    rescue: (name, options) => onVolume('rescue', 'rescue it', name, (now) => now.rescue(name, options)),
    endRescue: (name) => onVolume('rescue', 'end its rescue', name, (now) => now.endRescue(name)),
    endHolder: (name, holder) => run('unmount', 'end a holder of it', (controls) => controls.endHolder(name, holder)),
    trash: {
      list: () => run('trash', 'list the trash', ({ trash }) => trash.list()),
      undelete: (which, as, zone) =>
        run('undelete', `undelete ${which}`, ({ trash }) => trash.undelete(which, as, zone)),
      collect: (options) => run('gc', 'find what nobody needs', ({ trash }) => trash.collect(options)),
      purge: (which, how) => run('purge', 'delete from the trash', ({ trash }) => trash.purge(which, how)),
    },
    snapshots: {
      list: (name) => run('snapshot', 'list the snapshots', ({ snapshots }) => snapshots.list(name)),
      ready: (name) => onVolume('snapshot', 'prepare a snapshot of it', name, (now) => now.snapshots.ready(name)),
      take: (name, snapshot, options) =>
        onVolume('snapshot', 'take a snapshot of it', name, (now) => now.snapshots.take(name, snapshot, options)),
      remove: (name, snapshot) =>
        onVolume('snapshot', 'delete a snapshot of it', name, (now) => now.snapshots.remove(name, snapshot)),
      rollback: (name, snapshot, how) =>
        onVolume('rollback', 'roll it back', name, (now) => now.snapshots.rollback(name, snapshot, how)),
    },
    verify: {
      plan: (which, how) =>
        run('verify', `tell what verifying ${which} takes`, ({ verify }) => verify.plan(which, how)),
      begin: (which, how) => run('verify', `verify ${which}`, ({ verify }) => verify.begin(which, how)),
      look: (id) => run('verify', `tell how far the verification of ${id} is`, ({ verify }) => verify.look(id)),
      commandEnded: (id, why) =>
        run('verify', `end the verification of ${id}`, ({ verify }) => verify.commandEnded(id, why)),
    },
    fence: {
      explain: (name) => run('fence', 'explain what would happen to it', ({ fence }) => fence.explain(name)),
      history: (limit) => run('fence', 'read the history of fencing', ({ fence }) => fence.history(limit)),
      confirm: (name, victim, reason, options) =>
        run('fence', 'confirm that its owner is finished with it', ({ fence }) =>
          fence.confirm(name, victim, reason, options),
        ),
      pause: (reason) => run('fence', 'pause fencing', ({ fence }) => fence.pause(reason)),
      resume: () => run('fence', 'resume fencing', ({ fence }) => fence.resume()),
    },
  };
}
