import { clock, credentials, ec2, region } from './account.ts';
import type { Check } from './check.ts';
import { cluster, fencing } from './cluster.ts';
import { daemon, oneDaemon } from './daemon.ts';
import { attachments, devices, foreign, nvmeTimeout, slots } from './disks.ts';
import { growth } from './growth.ts';
import { identity, metadata, settingsSource } from './identity.ts';
import { permissions } from './permissions.ts';
import { capabilities, processes } from './process.ts';
import { propagation, root } from './root.ts';
import { filesystems, tools } from './tools.ts';

/** All checks, in the order they are shown: what others rest on first. */
export const checks: readonly Check[] = [
  ...[settingsSource, identity, metadata],
  ...[region, credentials, ec2, clock, permissions],
  ...[tools, filesystems, devices, nvmeTimeout, root, propagation, capabilities, processes],
  ...[slots, attachments, foreign, cluster, fencing],
  ...[daemon, oneDaemon, growth],
];
