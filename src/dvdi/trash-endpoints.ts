import { type Endpoint, endpoint } from './endpoint.ts';
import { Anything } from './messages.ts';
import { Collecting, Purging, Undeleting } from './operator-messages.ts';

/** What is about removed volumes. */
export const trashEndpoints: readonly Endpoint[] = [
  endpoint(
    '/Ebs.Trash',
    'list the trash',
    Anything,
    async (driver) => ({ volumes: await (await driver()).operator.trash.list() }),
    { mayBeEmpty: true, long: true },
  ),
  endpoint(
    '/Ebs.TrashPurge',
    'delete from the trash',
    Purging,
    async (driver, { which, dryRun = false }) => ({
      volumes: await (await driver()).operator.trash.purge(which ?? 'all', { dryRun }),
    }),
    { long: true },
  ),
  endpoint(
    '/Ebs.Gc',
    'find what nobody needs',
    Collecting,
    async (driver, { ids, idle, apply = false }) => ({
      garbage: await (await driver()).operator.trash.collect({ ids, idle, apply }),
    }),
    { long: true },
  ),
  endpoint(
    '/Ebs.Undelete',
    'undelete it',
    Undeleting,
    async (driver, { name: which, as, zone }) => (await driver()).operator.trash.undelete(which, as, zone),
    { long: true },
  ),
];
