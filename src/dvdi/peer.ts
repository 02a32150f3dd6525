import type { Socket } from 'node:net';

/** asm-generic/socket.h, the same on x86-64 and arm64. */
const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
/** struct ucred: pid, uid and gid, 32 bits each (unix(7)). */
const credentialBytes = 12;

type GetSockOpt = (fd: number, level: number, option: number, value: Buffer, length: Buffer) => number;

let loaded: { readonly getsockopt: GetSockOpt | undefined } | undefined;

/**
 * The process that connected to a Unix socket of ours: its id as this process sees it, 0 where it cannot be seen (its PID
 * namespace is beside or above ours). Undefined where that cannot be told: Node below 26.1 has no foreign function
 * interface, by which alone SO_PEERCRED can be read.
 */
export function peerPid(socket: Socket): number | undefined {
  loaded ??= { getsockopt: loadGetSockOpt() };
  // Not documented, and there since Node 0.x.
  const fd: unknown = '_handle' in socket && (socket._handle as { fd?: unknown } | null)?.fd;
  if (loaded.getsockopt === undefined || typeof fd !== 'number' || fd < 0) return undefined;
  const credentials = Buffer.alloc(credentialBytes);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(credentialBytes);
  const failed = loaded.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials, length) !== 0;
  return failed ? undefined : credentials.readInt32LE();
}

/** Asked for when it is needed: Node says on standard error that the interface is experimental, which nobody can act on. */
function loadGetSockOpt(): GetSockOpt | undefined {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    const ffi = process.getBuiltinModule('node:ffi');
    const signature = { return: 'i32', arguments: ['i32', 'i32', 'i32', 'buffer', 'buffer'] } as const;
    return ffi?.dlopen(null, { getsockopt: signature }).functions.getsockopt;
  } catch {
    return undefined;
  } finally {
    process.emitWarning = emitWarning;
  }
}
