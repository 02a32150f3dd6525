import { readFileSync } from 'node:fs';

/** The page as the browser gets it, by path: no build, no framework. The bundle has these texts in itself (rolldown.config.ts). */
export const pageFiles: Readonly<Record<string, { readonly type: string; readonly text: string }>> = {
  '/': { type: 'text/html', text: readFileSync(new URL('./page.html', import.meta.url), 'utf8') },
  '/page.css': { type: 'text/css', text: readFileSync(new URL('./page.css', import.meta.url), 'utf8') },
  '/page.js': { type: 'text/javascript', text: readFileSync(new URL('./page.js', import.meta.url), 'utf8') },
};
