// What a process is told whose Node cannot run the engine.

const isMissingBuiltin = (cause: unknown): boolean => cause instanceof Error && 'code' in cause && cause.code === 'ERR_UNKNOWN_BUILTIN_MODULE'

/** Why the engine could not be loaded, as a person reads it: a Node without `node:sqlite` is told what it lacks; anything else stays as it is. `node` is its version. */
export const loadFailure = (cause: unknown, node = process.versions.node): unknown =>
  isMissingBuiltin(cause)
    ? new Error(
        `exactlyOnce: a directory as store needs Node 24 from 24.15 on, or Node 26 or newer, for the built-in SQLite 3.51.3; this is Node ${node}. ` +
          'The address of a Stint server as store ("http://127.0.0.1:7070") works on this Node.',
        { cause },
      )
    : cause
