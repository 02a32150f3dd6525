import { rexrayPluginSettings } from '../src/cli/serve/rexray-settings.ts';
import { type SettingName, settingsTable } from '../src/config.ts';

/** One setting as plugin-config.json has it. */
export interface PluginSetting {
  readonly name: string;
  readonly description: string;
  readonly settable: readonly string[];
}

/** The plugin's configuration itself says where these are: its interface's socket, its propagated mount. */
const fixed: readonly SettingName[] = ['socket', 'root'];

/**
 * Our settings for plugin-config.json. None has a value: an upgrade keeps the values of the version before, and a default
 * that has become a value could never change.
 */
export function pluginSettings(): PluginSetting[] {
  return Object.entries(settingsTable)
    .filter(([name]) => !fixed.some((each) => each === name))
    .map(([, { env, kind, fallback, help }]) => {
      const preset = fallback === '' ? '' : ` Default ${fallback}.`;
      return { name: env, description: `${help} Takes ${kind.takes}.${preset}`, settable: ['value'] };
    });
}

/** REX-Ray's settings for plugin-config.json: Docker refuses to set what is not there. */
export function rexraySettings(): PluginSetting[] {
  return rexrayPluginSettings().map((setting) => ({ ...setting, settable: ['value'] }));
}
