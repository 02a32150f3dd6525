import type { Logger } from 'pino';

/** A volume whose disk went from this machine while it was mounted. */
export interface Ghost {
  readonly name: string;
  readonly volumeId: string;
  /** RFC 3339. */
  readonly at: string;
  /** Who had it mounted, as "container 3f2a9c0b1d4e (process 4711, postgres)"; empty where that could not be seen. */
  readonly users: readonly string[];
}

/** What a person has to know of until it is acknowledged, or a day is over. */
export interface Ghosts {
  all(): readonly Ghost[];
  /** Never fails: the log has it too. */
  add(ghost: Ghost): Promise<void>;
  /** @returns how many there were. */
  acknowledge(): Promise<number>;
}

const dayMs = 24 * 3_600_000;
/** A disk that comes and goes must not fill the journal. */
const most = 100;

/** The ghosts that a journal remembers. @param now milliseconds since 1970. */
export async function openGhosts(
  journal: {
    loadGhosts(): Promise<readonly Ghost[]>;
    saveGhosts(ghosts: readonly Ghost[]): Promise<void>;
  },
  log: Pick<Logger, 'warn' | 'info'>,
  now: () => number = Date.now,
): Promise<Ghosts> {
  let known: readonly Ghost[] = await journal.loadGhosts();
  const all = () => known.filter(({ at }) => now() - Date.parse(at) < dayMs);
  const save = (ghosts: readonly Ghost[]): Promise<void> => {
    known = ghosts;
    return journal.saveGhosts(ghosts).catch((error: unknown) => {
      log.warn({ op: 'ghost', err: error }, 'that a disk has gone is not recorded: a restart forgets it');
    });
  };
  return {
    all,
    // After a crash the same one is met again.
    add: (ghost) => save([...all().filter(({ volumeId }) => volumeId !== ghost.volumeId), ghost].slice(-most)),
    async acknowledge() {
      const ended = all();
      if (ended.length > 0) {
        await save([]);
        log.info({ op: 'ghost', volumes: ended.map(({ name }) => name) }, 'an operator has acknowledged the ghosts');
      }
      return ended.length;
    },
  };
}
