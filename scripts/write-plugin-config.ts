import { readFileSync, writeFileSync } from 'node:fs';
import { pluginSettings, rexraySettings } from './plugin-settings.ts';

/** Writes our settings and REX-Ray's into plugin-config.json; what is there of others, as AWS's, stays. */
const file = new URL('../plugin-config.json', import.meta.url);
const config = JSON.parse(readFileSync(file, 'utf8'));
const rexray = rexraySettings();
const made = (name: string) => name.startsWith('DVE_') || rexray.some((setting) => setting.name === name);
const others = config.env.filter(({ name }: { name: string }) => !made(name));
config.env = [...pluginSettings(), ...others, ...rexray];
writeFileSync(file, `${JSON.stringify(config, undefined, 2)}\n`);
