import { attachTimes } from './attach-times.ts';
import type { Case } from './case.ts';
import { create } from './create.ts';
import { cycles1000 } from './cycles.ts';
import { daemon } from './daemon.ts';
import { fleet } from './fleet.ts';
import { inside } from './inside.ts';
import { lists } from './lists.ts';
import { mount } from './mount.ts';
import { reads } from './reads.ts';
import { storm } from './storm.ts';
import { takeover } from './takeover.ts';
import { callers, together } from './together.ts';

/** The whole benchmark, in its order. */
export const cases: readonly Case[] = [
  create,
  mount,
  takeover,
  reads,
  together,
  callers,
  attachTimes,
  lists,
  storm,
  fleet,
  daemon,
  cycles1000,
  inside,
];
