// The contract aggregate: set up, set up anew, and read back from what was stored.
import * as E from 'fp-ts/lib/Either.js'
import { describe, expect, it } from 'vitest'
import {
  absentContract,
  contractOfStream,
  contractStream,
  decideContract,
  decodeContractEvent,
  DEFAULT_CONTRACT,
  encodeContractEvent,
  evolveContract,
  type ConfigureContract,
  type Contract,
  type ContractConfig,
  type ContractEvent,
} from '../../src/domain/contract.ts'

const CONFIG: ContractConfig = {
  callers: ['ann@example.com'],
  workers: ['bob@example.com'],
  release: { policy: 'none-required', retainMs: 60_000 },
  onInterrupted: 'fail',
  leaseMs: 30_000,
  interruptedAfterMs: 600_000,
  attemptsMax: 5,
  quota: { requests: 100, bytes: 1_000_000 },
}
const configure = (config: ContractConfig, digest = 'first'): ConfigureContract => ({ type: 'ConfigureContract', by: 'admin', config, digest })
const configured: ContractEvent = { type: 'ContractConfigured', config: CONFIG, digest: 'first', by: 'admin' }

const after = (contract: Contract, event: ContractEvent, time: number): Contract => evolveContract(contract, event, { time, revision: contract.revision + 1 })

describe('setting a contract up', () => {
  it('is a fact the first time, and nothing when it is in force already', () => {
    expect(decideContract(configure(CONFIG), absentContract)).toEqual(E.right([configured]))
    expect(decideContract(configure(CONFIG), after(absentContract, configured, 1_000))).toEqual(E.right([]))
  })

  it('anew is another fact, also back to what it was before', () => {
    const first = after(absentContract, configured, 1_000)
    const second = after(first, { ...configured, config: DEFAULT_CONTRACT, digest: 'second' }, 2_000)
    expect(second).toEqual({ status: 'open', revision: 1, createdAt: 1_000, updatedAt: 2_000, config: DEFAULT_CONTRACT, digest: 'second' })
    expect(decideContract(configure(CONFIG), second)).toEqual(E.right([configured]))
  })

  it.each([
    ['required', 60_000, 'only its caller or an administrator'],
    ['none-required', undefined, 'a promise'],
    ['encouraged', undefined, 'a promise'],
  ] as const)('with %s and %s ms contradicts itself, whatever is in force', (policy, retainMs, detail) => {
    const release = { policy, ...(retainMs === undefined ? {} : { retainMs }) }
    const decided = decideContract(configure({ ...CONFIG, release }), after(absentContract, configured, 1_000))
    expect(decided).toEqual(E.left({ type: 'contradiction', path: '/retainSeconds', detail: expect.stringContaining(detail) }))
  })

  it('as nobody did is sound', () => {
    expect(E.isRight(decideContract(configure(DEFAULT_CONTRACT), absentContract))).toBe(true)
    expect(decideContract(configure({ ...CONFIG, release: { policy: 'required' } }), absentContract)).toMatchObject(E.right([{ config: { release: { policy: 'required' } } }]))
  })
})

describe('the stream of a contract', () => {
  it('is named after it, and is the stream of nothing else', () => {
    expect(contractOfStream(contractStream('payments'))).toBe('payments')
    for (const stream of ['workItem-request/payments/shop/1', 'queue-shop/mail', 'audit-2026-01-01', 'tokens']) expect(contractOfStream(stream)).toBeUndefined()
  })

  it('gives back what was stored', () => {
    const { type, v, data } = encodeContractEvent(configured)
    expect([type, v]).toEqual(['ContractConfigured', 1])
    expect(decodeContractEvent(type, v, JSON.parse(data))).toEqual(E.right(configured))
  })

  it('names what cannot be read, and skips nothing', () => {
    const data: unknown = JSON.parse(encodeContractEvent(configured).data)
    expect(decodeContractEvent('ContractClosed', 1, data)).toMatchObject(E.left({ reason: 'unknown-type' }))
    expect(decodeContractEvent('ContractConfigured', 2, data)).toMatchObject(E.left({ reason: 'newer-version' }))
    for (const wrong of [null, 7, [], {}, { ...configured, config: { ...CONFIG, release: { policy: 'sometimes' } } }, { ...configured, digest: 1 }])
      expect(decodeContractEvent('ContractConfigured', 1, wrong)).toMatchObject(E.left({ reason: 'invalid' }))
  })
})
