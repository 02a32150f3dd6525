import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { type CloudState, emptyState } from './model.ts';

interface Version {
  readonly at: number;
  readonly json: string;
}

const keptVersions = 500;

/** The state of the sandbox's EC2: in memory, in state.json, and as it was a while ago (for stale reads). */
export class Store {
  readonly state: CloudState;
  readonly #file: string;
  readonly #changed: (before: string, after: string) => void;
  readonly #versions: Version[] = [];

  /**
   * Reads `file`, or starts empty without one. `changed` is told of each change, the state before and after it as JSON.
   * @throws SyntaxError when the file is damaged
   */
  constructor(file: string, changed: (before: string, after: string) => void = () => {}) {
    this.#file = file;
    this.#changed = changed;
    this.state = load(file);
    this.save();
  }

  /** Writes the state, whole or not at all. Call it after every change. */
  save(): void {
    const json = JSON.stringify(this.state);
    writeFileSync(`${this.#file}.new`, json);
    renameSync(`${this.#file}.new`, this.#file);
    const before = this.#versions.at(-1)?.json ?? json;
    this.#versions.push({ at: Date.now(), json });
    if (this.#versions.length > keptVersions) this.#versions.shift();
    if (before !== json) this.#changed(before, json);
  }

  /** A copy of the state as it was `age` milliseconds ago, or as far back as is remembered. */
  past(age: number): CloudState {
    const moment = Date.now() - age;
    const version = this.#versions.findLast(({ at }) => at <= moment) ?? this.#versions[0];
    return version === undefined ? emptyState() : (JSON.parse(version.json) as CloudState);
  }
}

function load(file: string): CloudState {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as CloudState;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return emptyState();
    throw error;
  }
}
