import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll } from 'vitest';

/** The top of the project. */
export const projectRoot = join(import.meta.dirname, '../..');

/** A fenced block of a page. */
export interface Block {
  /** Its info string: `sh` for commands, `json`, `yaml` and so on for definitions, `text` for what is printed. */
  readonly kind: string;
  readonly text: string;
  /** Of its first line, from 1. */
  readonly line: number;
}

export interface RunOptions {
  /** Beside this process's own. */
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** What a reader puts in place of a word in capitals. Every such word must be there. */
  readonly replace?: Readonly<Record<string, string>>;
}

export interface Page {
  /**
   * Runs the block of commands that starts with these words, as a shell does that stops at the first failure.
   * @throws Error with what it printed, if a command fails
   */
  run(start: string, options?: RunOptions): Promise<{ readonly stdout: string; readonly stderr: string }>;
  /** The commands of the block that starts with these words, for a test that runs them in its own way. */
  take(start: string): string;
  /** The text of the definition of this kind that has these words. */
  definition(kind: string, words: string): string;
}

/** The blocks of a page of Markdown. */
export function blocksOf(markdown: string): readonly Block[] {
  const lines = markdown.split('\n');
  const blocks: Block[] = [];
  let open: { kind: string; indent: number; line: number; text: string[] } | undefined;
  for (const [n, line] of lines.entries()) {
    const fence = /^( *)```(.*)$/.exec(line);
    if (fence === null) open?.text.push(line.slice(Math.min(open.indent, line.length - line.trimStart().length)));
    else if (open === undefined)
      open = { kind: (fence[2] ?? '').trim(), indent: fence[1]?.length ?? 0, line: n + 2, text: [] };
    else {
      blocks.push({ kind: open.kind, text: `${open.text.join('\n')}\n`, line: open.line });
      open = undefined;
    }
  }
  return blocks;
}

/**
 * A page of the documentation, for the one test file that runs all its commands and checks all its definitions: that
 * file fails if it leaves out a block.
 * @param path from the top of the project, as docs/plugin.md.
 */
export function openPage(path: string): Page {
  const blocks = blocksOf(readFileSync(join(projectRoot, path), 'utf8'));
  const used = new Set<Block>();
  const use = (what: string, candidates: readonly Block[]): Block => {
    const block = candidates.find((each) => !used.has(each)) ?? candidates[0];
    if (block === undefined) throw new Error(`${path} has no block ${what}`);
    used.add(block);
    return block;
  };
  const commands = (start: string) =>
    use(
      `of commands that starts with ${JSON.stringify(start)}`,
      blocks.filter(({ kind, text }) => kind === 'sh' && text.startsWith(start)),
    );
  afterAll(() => {
    const left = blocks.filter((block) => block.kind !== 'text' && !used.has(block));
    if (left.length > 0) throw new Error(`${path}: no test used ${left.map(shown).join(', ')}`);
  });
  return {
    run: (start, options) => run(path, commands(start), options),
    take: (start) => commands(start).text,
    definition: (kind, words) =>
      use(
        `of ${kind} with ${JSON.stringify(words)}`,
        blocks.filter((block) => block.kind === kind && block.text.includes(words)),
      ).text,
  };
}

const shown = ({ text, line }: Block) => `line ${line} (${text.split('\n')[0]})`;

async function run(path: string, block: Block, { env, cwd = projectRoot, replace = {} }: RunOptions = {}) {
  let script = block.text;
  for (const [word, value] of Object.entries(replace)) {
    if (!script.includes(word)) throw new Error(`${path}, line ${block.line}: there is no ${word} to replace`);
    script = script.replaceAll(word, value);
  }
  try {
    return await promisify(execFile)('bash', ['-euo', 'pipefail', '-c', script], {
      cwd,
      env: { ...process.env, ...env },
      maxBuffer: 16 * 2 ** 20,
    });
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string };
    throw new Error(`${path}, line ${block.line} failed:\n${script}${stdout}${stderr}`, { cause: error });
  }
}
