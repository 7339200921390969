// How the operations move bytes: in blocks of a mebibyte, with a checkpoint and progress at each, and no faster than they may.
import { createCipheriv, createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { open, type FileHandle } from 'node:fs/promises'
import { PassThrough } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as pause } from 'node:timers/promises'
import { createGunzip, createGzip, createZstdCompress, createZstdDecompress } from 'node:zlib'
import type { OperationContext } from '../../src/client/index.ts'

const BLOCK_BYTES = 1024 * 1024

const NOISE_BYTES = BLOCK_BYTES / 2
const zeros = Buffer.alloc(NOISE_BYTES)

/** The block of an image at this byte: half of it cannot be packed, half of it can, as on a disk. The same for the same seed. */
export const contentAt = (seed: string, at: number): Buffer => {
  const block = Math.floor(at / BLOCK_BYTES)
  const counter = Buffer.alloc(16)
  counter.writeUInt32BE(block)
  const noise = createCipheriv('aes-128-ctr', createHash('sha256').update(seed).digest().subarray(0, 16), counter).update(zeros)
  return Buffer.concat([noise, Buffer.alloc(BLOCK_BYTES - NOISE_BYTES, `block ${block} of the image ${seed}\n`)])
}

/** Resolves when so many bytes more may be moved: a disk has other users too. What was not used is not saved up. */
export const limited = (bytesPerSecond: number | undefined, signal: AbortSignal): ((bytes: number) => Promise<void>) => {
  let free = performance.now()
  return async (bytes) => {
    if (bytesPerSecond === undefined) return
    free = Math.max(free, performance.now()) + (bytes / bytesPerSecond) * 1_000
    await pause(free - performance.now(), undefined, { signal })
  }
}

export const blockOf = async (file: FileHandle, at: number): Promise<Buffer> => {
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, at)
  return block.subarray(0, bytesRead)
}

/** What an attempt before has left, if there was one; else an empty file. */
export const openPart = async (name: string, isAgain: boolean): Promise<FileHandle> => (isAgain ? open(name, 'r+').catch(() => open(name, 'w+')) : open(name, 'w+'))

export const isThere = async (file: FileHandle, at: number, block: Buffer): Promise<boolean> => {
  if (block.byteLength === 0) throw new Error('The image has become shorter meanwhile.')
  return block.equals((await blockOf(file, at)).subarray(0, block.byteLength))
}

/** The bytes of a file; each block has its checkpoint, and is counted when it was taken. */
export async function* readThrough(name: string, total: number, context: OperationContext, bytesPerSecond?: number): AsyncGenerator<Buffer, void, undefined> {
  const allowed = limited(bytesPerSecond, context.signal)
  let done = 0
  for await (const block of createReadStream(name, { highWaterMark: BLOCK_BYTES }) as AsyncIterable<Buffer>) {
    await context.checkpoint() // here it pauses, and here an abort ends it
    yield block
    done += block.byteLength
    context.progress({ done, total, unit: 'bytes' })
    await allowed(block.byteLength)
  }
}

const unpackerFor = (name: string) => (name.endsWith('.gz') ? createGunzip() : name.endsWith('.zst') ? createZstdDecompress() : new PassThrough())

export const sha256Of = async (name: string, bytes: AsyncIterable<Buffer>): Promise<string> => {
  const hash = createHash('sha256')
  await pipeline(bytes, unpackerFor(name), hash)
  return hash.digest('hex')
}

/** Packs into a file, as the name that it will have says. */
export const packedInto = async (file: string, name: string, bytes: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> => {
  await pipeline(bytes, name.endsWith('.gz') ? createGzip({ level: 1 }) : createZstdCompress(), createWriteStream(file), { signal })
}
