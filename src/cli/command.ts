import type { Grammar } from '../flags.ts';

/** What a command's own file exports. */
export interface CommandModule {
  /** Does it; gives the exit status. */
  readonly run: (argv: readonly string[]) => Promise<number>;
  /** What its `--help` prints. */
  readonly usage: () => string;
  /** What its command line takes. */
  readonly grammar: Grammar;
}

export interface Command {
  /** Absent where no person types it. */
  readonly summary?: string;
  /** Loads what only this command needs. */
  readonly load: () => Promise<CommandModule>;
  /** It shows the program itself: a wrong variable is not in the way. */
  readonly needsNoSettings?: true;
  /** Its command line is that of another program, in which `-h` may be a value: it reads `--help` itself. */
  readonly readsHelpItself?: true;
}

/** Every command, by its name. */
export type CommandTable = Readonly<Record<string, Command>>;
