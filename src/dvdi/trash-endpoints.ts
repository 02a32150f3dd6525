import { Type } from 'typebox';
import { type Endpoint, endpoint } from './endpoint.ts';
import { Anything } from './messages.ts';

const name = Type.String({ minLength: 1 });
const Undeleting = Type.Object({ name, as: Type.Optional(name) });
/** Without `which` it is about all of it. */
const Purging = Type.Object({
  which: Type.Optional(Type.Array(name, { minItems: 1 })),
  dryRun: Type.Optional(Type.Boolean()),
});

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
    '/Ebs.Undelete',
    'undelete it',
    Undeleting,
    async (driver, { name: which, as }) => (await driver()).operator.trash.undelete(which, as),
    { long: true },
  ),
];
