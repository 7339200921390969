// Waits until what was written is out: on a pipe a process that exits loses what its reader has not made room for.
import type { Writable } from 'node:stream'

/** Resolves when whoever reads these streams has been given all that was written to them, or is gone. */
export const writtenOut = async (...streams: readonly Pick<Writable, 'write'>[]): Promise<void> => {
  await Promise.all(streams.map((stream) => new Promise<void>((resolve) => stream.write('', () => resolve()))))
}
