import { readFileSync, writeFileSync } from 'node:fs';
import { pluginSettings } from './plugin-settings.ts';

/** Writes our settings into plugin-config.json; what is there of others, as AWS's, stays. */
const file = new URL('../plugin-config.json', import.meta.url);
const config = JSON.parse(readFileSync(file, 'utf8'));
const others = config.env.filter(({ name }: { name: string }) => !name.startsWith('DVE_'));
config.env = [...pluginSettings(), ...others];
writeFileSync(file, `${JSON.stringify(config, undefined, 2)}\n`);
