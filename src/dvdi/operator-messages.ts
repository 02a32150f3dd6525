import { Type } from 'typebox';

/** What the operator's commands send, in the one case of our own JSON; unknown fields are let through. */
const name = Type.String({ minLength: 1 });
const reason = Type.String({ minLength: 1, maxLength: 1000 });

/** `checks`: whether EC2 is asked how this instance is. */
export const Looking = Type.Object({ checks: Type.Optional(Type.Boolean()) });
export const OfVolume = Type.Object({ name });
export const Reasoned = Type.Object({ reason });
export const Limited = Type.Object({ limit: Type.Integer({ minimum: 1, maximum: 10_000 }) });
export const Rescuing = Type.Object({ name, snapshot: Type.Optional(Type.Boolean()) });
export const HolderEnding = Type.Object({ name, holder: Type.String({ minLength: 1 }) });
const snapshot = Type.String({ minLength: 1 });
export const ListingSnapshots = Type.Object({ name: Type.Optional(name) });
export const OfSnapshot = Type.Object({ name, snapshot });
export const RollingBack = Type.Object({ name, snapshot, dryRun: Type.Optional(Type.Boolean()) });
export const TakingSnapshot = Type.Object({
  name,
  snapshot: Type.Optional(snapshot),
  crashConsistent: Type.Optional(Type.Boolean()),
});
export const Verifying = Type.Object({
  snapshot,
  command: Type.Optional(Type.Boolean()),
  initializationRate: Type.Optional(Type.Integer({ minimum: 100, maximum: 300 })),
});
export const OfVerification = Type.Object({ snapshotId: snapshot });
export const CommandEnding = Type.Object({
  snapshotId: snapshot,
  failed: Type.Optional(Type.String({ maxLength: 500 })),
});
/** A name of a zone, as "eu-west-1a". */
const zone = Type.String({ pattern: '^[a-z0-9-]{1,64}$' });
export const Undeleting = Type.Object({ name, as: Type.Optional(name), zone: Type.Optional(zone) });
/** Without `ids` it is about all that is found; `idle` is a time as "30d". */
export const Collecting = Type.Object({
  ids: Type.Optional(Type.Array(name, { minItems: 1 })),
  idle: Type.String({ maxLength: 20 }),
  apply: Type.Optional(Type.Boolean()),
});
/** Without `which` it is about all of the trash. */
export const Purging = Type.Object({
  which: Type.Optional(Type.Array(name, { minItems: 1 })),
  dryRun: Type.Optional(Type.Boolean()),
});
export const Confirming = Type.Object({
  name,
  victim: Type.String({ minLength: 1 }),
  reason,
  evenIfRunning: Type.Optional(Type.Boolean()),
});
export const Setting = Type.Object({
  name,
  options: Type.Unsafe<Record<string, string>>({
    type: 'object',
    additionalProperties: Type.String(),
    minProperties: 1,
  }),
  dryRun: Type.Optional(Type.Boolean()),
});
