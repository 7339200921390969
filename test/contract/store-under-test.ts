// A store of its own for each test, closed afterwards.
import { afterEach, beforeEach } from 'vitest'
import type { ContractStore } from './samples.ts'

export interface StoreOptions {
  readonly maxAppendBytes?: number
}

export type MakeStore = (options?: StoreOptions) => Promise<ContractStore>

/** Hands each test a store of its own and closes it afterwards. */
export const withStore = (make: MakeStore, options?: StoreOptions): (() => ContractStore) => {
  let store: ContractStore | undefined
  beforeEach(async () => {
    store = await make(options)
  })
  afterEach(() => store?.close())
  return () => {
    if (store === undefined) throw new Error('No store outside a test')
    return store
  }
}
