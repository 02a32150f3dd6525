/** Judges a scheduler's list of members, alike for every scheduler. Pure. */
import type { Machine, Testimony } from './types.ts';

/** A member as its scheduler lists it. */
export interface Member {
  readonly id: string;
  /** `doubtful`: listed, but neither alive nor lost for sure. */
  readonly state: 'ready' | 'doubtful' | 'unreachable' | 'gone';
  /** Since when it is unreachable or gone, milliseconds since 1970. */
  readonly since: number | undefined;
  /** Its host names and addresses. */
  readonly hosts: readonly string[];
  /** How the list says it, to complete "… lists agent S1 as". */
  readonly words: string;
}

export interface MemberList {
  readonly source: Testimony['source'];
  /** Who gave it, as "the leading master 10.0.0.1:5050". */
  readonly teller: string;
  /** What a member is called, as "agent". */
  readonly noun: string;
  readonly members: readonly Member[];
  /** When it was given by the teller's clock, milliseconds since 1970. */
  readonly at: number;
}

/** A member lost longer ago than this is an old loss, no part of a storm: schedulers list them for weeks. */
const stormMs = 3_600_000;

/** What a list of members says of one. */
export function testify(
  list: MemberList,
  identity: string,
  ownId: string | undefined,
  machine: Machine | undefined,
): Testimony {
  const { source, members } = list;
  const member = members.find(({ id }) => id === identity);
  const there = members.find(({ id, state, hosts }) => id !== identity && state === 'ready' && isOn(hosts, machine));
  const suspects = members.filter((each) => isSuspect(each, list.at)).length;
  const present = members.filter(({ state }) => state === 'ready' || state === 'doubtful').length;
  const lost = members.filter((each) => isSuspect(each, list.at) && each.state === 'unreachable').length;
  return {
    source,
    identity,
    answered: true,
    says: saying(member),
    since: member?.since === undefined ? undefined : new Date(member.since).toISOString(),
    detail: detailOf(list, identity, member),
    otherMemberThere: there?.id,
    takerRegistered: ownId !== undefined && members.some(({ id, state }) => id === ownId && state === 'ready'),
    suspects,
    members: present + lost,
  };
}

/** The testimony of a scheduler that could not be asked; `why` is a clause. */
export function noTestimony(source: Testimony['source'], identity: string, why: string): Testimony {
  return {
    source,
    identity,
    answered: false,
    says: 'nothing',
    since: undefined,
    detail: `${source} could not be asked about ${identity}: ${why}`,
    otherMemberThere: undefined,
    takerRegistered: false,
    suspects: 0,
    members: 0,
  };
}

function saying(member: Member | undefined): Testimony['says'] {
  if (member === undefined || member.state === 'doubtful') return 'nothing';
  return member.state === 'ready' ? 'registered' : member.state;
}

function detailOf({ teller, noun }: MemberList, identity: string, member: Member | undefined): string {
  if (member === undefined) return `${teller} does not list ${noun} ${identity}, which proves nothing`;
  const since = member.since === undefined ? '' : ` since ${new Date(member.since).toISOString()}`;
  return `${teller} lists ${noun} ${identity} as ${member.words}${since}`;
}

function isSuspect({ state, since }: Member, at: number): boolean {
  if (state === 'doubtful') return true;
  return state === 'unreachable' && (since === undefined || at - since <= stormMs);
}

/** "ip-10-0-0-5" is also "ip-10-0-0-5.ec2.internal". */
function isOn(hosts: readonly string[], machine: Machine | undefined): boolean {
  const { privateIp, privateDns } = machine ?? {};
  const names = [privateIp, privateDns, privateDns?.split('.')[0]].filter((name) => name !== undefined && name !== '');
  return hosts.some((host) => names.includes(host.toLowerCase()));
}
