// The memory store keeps the contract, with all its capabilities and without those that another store may lack.
import { describe, expect, it } from 'vitest'
import { memoryStore } from '../../src/store/memory.ts'
import { exercise } from './event-store.ts'
import { everything, put, sample } from './samples.ts'
import { exerciseSharing } from './sharing.ts'

exercise('memory', async (options) => memoryStore(options))
exercise('memory without chain and erasure', async (options) => memoryStore({ ...options, lacks: ['globalChain', 'erase'] }))

exerciseSharing('memory for several servers of one process', true, async () => {
  const first = memoryStore({ shared: true })
  return { first, again: async () => ({ ...first, close: async () => undefined }), close: first.close }
})

describe('the memory store', () => {
  it('says that it is not durable', () => {
    expect(memoryStore().capabilities).toEqual({
      densePositions: true,
      globalChain: true,
      erase: true,
      prune: true,
      truncate: false,
      durable: false,
      shared: false,
      maxAppendBytes: 32 * 1024 * 1024,
    })
  })

  it('keeps its own copy of a payload', async () => {
    const store = memoryStore()
    const payload = Buffer.from('before')
    await put(store, 'a', [sample(1, { payload })])
    payload.fill('x')
    expect(Buffer.from((await everything(store))[0]?.payload ?? []).toString()).toBe('before')
  })
})
