import { setFlagsFromString } from 'node:v8';
import { loadSettings, settingFlags, settingsHelp } from '../../config.ts';
import { runDaemon } from '../../daemon.ts';
import { openSchedulers } from '../../fencing/schedulers.ts';
import type { Grammar } from '../../flags.ts';
import { createLogger } from '../../log.ts';
import { checkDefaults } from '../../volumes/options/defaults.ts';
import { understandRexRay } from './rexray-settings.ts';

export const grammar: Grammar = { command: 'serve', flags: settingFlags };

/**
 * Runs the daemon until it is told to stop; gives the exit status.
 * @throws DriverError INVALID_OPTION for a setting that is wrong, and what {@link runDaemon} throws.
 */
export async function run(argv: readonly string[]): Promise<number> {
  const rexray = understandRexRay(process.env);
  // The AWS SDK reads its own variables here.
  Object.assign(process.env, rexray.env);
  const settings = loadSettings(argv, process.env);
  checkDefaults(settings);
  openSchedulers(settings);
  keepSmall();
  const log = createLogger(settings);
  for (const warning of rexray.warnings) log.warn(warning);
  await runDaemon(settings, {
    log,
    // Loaded once the socket answers: the EC2 client is most of the time a start takes.
    openDriver: async (...given) => (await import('../../volumes/driver.ts')).openDriver(...given),
  });
  return 0;
}

/**
 * Keeps V8 to its interpreter and baseline compiler, and its young generation as small as it begins. The optimizing
 * compilers alone take 10 MB once a few volumes were mounted; a young generation that has grown at work is not collected
 * while the daemon idles, 60 MB after 1,000 mounts (measured, Node 26.10). The cost: 4,000 calls a second, not 10,000.
 */
function keepSmall(): void {
  for (const flag of ['--no-opt', '--no-maglev', '--semi-space-growth-factor=1']) setFlagsFromString(flag);
}

/** What `--help` prints. */
export const usage = () => `Usage: docker-volume-ebs serve [OPTIONS]

Runs the volume driver daemon. Each option can be given by its flag or by its variable; the flag wins.
Region, credentials and endpoint come from the AWS SDK's standard chain (AWS_REGION, AWS_PROFILE,
AWS_ENDPOINT_URL_EC2, the instance's role).

${settingsHelp()}
`;
