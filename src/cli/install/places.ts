import { join } from 'node:path';
import { DriverError } from '../../errors.ts';
import type { Shell } from '../completion/scripts.ts';

/** What an installation consists of, as paths below the root directory that is installed into. */
export interface Places {
  /** "" for this machine. */
  readonly root: string;
  readonly program: string;
  /** The man page. */
  readonly manual: string;
  /** What completes its command line, where each shell looks for it. */
  readonly completions: Readonly<Record<Shell, string>>;
  readonly env: string;
  readonly service: string;
  readonly socket: string;
  /** Links that have systemd start a unit at boot, as `systemctl enable` makes them, with what they lead to. */
  readonly wants: readonly { readonly link: string; readonly to: string }[];
}

export const programName = 'docker-volume-ebs';
export const serviceName = `${programName}.service`;
export const socketName = `${programName}.socket`;
export const envFile = `/etc/${programName}/env`;
/** Where mesos-module-dvdi looks for dvdcli, and where a shell does. */
export const dvdcliLinks = ['/usr/bin/dvdcli', '/usr/local/bin/dvdcli'];

const units = '/etc/systemd/system';

/** @param prefix where the executable goes: its bin has it, its share the man page and the completions. */
export function placesIn(root: string, prefix: string): Places {
  const want = (target: string, unit: string) => ({
    link: join(root, units, `${target}.wants`, unit),
    to: join(units, unit),
  });
  const share = (path: string) => join(root, prefix, 'share', path);
  return {
    root,
    program: join(root, prefix, 'bin', programName),
    manual: share(`man/man8/${programName}.8`),
    completions: {
      bash: share(`bash-completion/completions/${programName}`),
      zsh: share(`zsh/site-functions/_${programName}`),
      fish: share(`fish/vendor_completions.d/${programName}.fish`),
    },
    env: join(root, envFile),
    service: join(root, units, serviceName),
    socket: join(root, units, socketName),
    wants: [want('multi-user.target', serviceName), want('sockets.target', socketName)],
  };
}

/** A path that can stand in a unit file as it is. @throws DriverError INVALID_OPTION for another. */
export function unitPath(what: string, path: string): string {
  if (/^\/[\w./@:+,-]*$/.test(path)) return path;
  throw new DriverError('INVALID_OPTION', {
    tried: `use ${what} ${JSON.stringify(path)}`,
    why: 'it takes an absolute path of letters, digits and ./@:+,-_ in a systemd unit',
    todo: 'Choose another path',
  });
}
