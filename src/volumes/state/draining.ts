/** Why a node is drained. */
export interface Draining {
  /** A clause for people. */
  readonly reason: string;
  /** Who ends it: an operator's drain lasts until it is cancelled, that of a notice as long as the notice. */
  readonly by: 'operator' | 'notice';
  /** RFC 3339. */
  readonly since: string;
}
