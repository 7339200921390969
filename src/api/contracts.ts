// Contracts (C) over HTTP: set up by administrators, shown to those who call, work or look after them.
import * as E from 'fp-ts/lib/Either.js'
import type { ContractConfig } from '../engine/contracts/contracts.ts'
import { defaultContract } from '../engine/contracts/contracts.ts'
import type * as wire from '../wire/contracts.ts'
import { ok, type Handle } from './call.ts'
import { limitOf } from './items.ts'
import { contractFor, mayWithContract } from './permission.ts'
import { fromRefusal, invalid } from './problem.ts'
import { contractView } from './request-views.ts'

const unique = (emails: readonly string[] | undefined): string[] => [...new Set(emails)].toSorted()

const configOf = (body: wire.ContractBody): ContractConfig => {
  const { release = defaultContract.release.policy, attemptsMax, quota } = body
  const retainMs = body.retainSeconds === undefined ? (release === 'required' ? undefined : defaultContract.release.retainMs) : Math.round(body.retainSeconds * 1_000)
  return {
    callers: unique(body.callers),
    workers: unique(body.workers),
    release: { policy: release, ...(retainMs === undefined ? {} : { retainMs }) },
    onInterrupted: body.onInterrupted ?? defaultContract.onInterrupted,
    leaseMs: body.leaseSeconds === undefined ? defaultContract.leaseMs : Math.round(body.leaseSeconds * 1_000),
    interruptedAfterMs: body.interruptedAfterSeconds === undefined ? defaultContract.interruptedAfterMs : Math.round(body.interruptedAfterSeconds * 1_000),
    ...(attemptsMax === undefined ? {} : { attemptsMax }),
    ...(quota === undefined ? {} : { quota }),
    ...(body.callbackSecretEnv === undefined ? {} : { callbackSecretEnv: body.callbackSecretEnv }),
  }
}

export const putContract: Handle<typeof wire.putContract> = async ({ params, body }, call) => {
  const done = await call.engine.contracts.configure(params.contract, configOf(body), call.context)
  if (E.isRight(done)) return E.right({ status: done.right.isNew ? 201 : 200, body: contractView(done.right.view) })
  const refused = done.left
  if ('type' in refused) return E.left(invalid([{ path: refused.path, code: 'choice', detail: refused.detail }]))
  return E.left(fromRefusal(refused))
}

export const listContracts: Handle<typeof wire.listContracts> = ({ query }, call) => {
  const visible = call.engine.contracts.list().filter(({ config }) => (['insert', 'look'] as const).some((deed) => mayWithContract(config, call.principal, deed)))
  const { after = '' } = query
  const rest = visible.filter(({ contract }) => contract > after)
  const items = rest.slice(0, limitOf(query))
  return ok({ items: items.map(contractView), next: items.length < rest.length ? items.at(-1)?.contract : undefined })
}

export const showContract: Handle<typeof wire.showContract> = ({ params }, call) => {
  const allowed = contractFor(call, params.contract, 'look')
  const asCaller = E.isLeft(allowed) ? contractFor(call, params.contract, 'insert') : allowed
  if (E.isLeft(asCaller)) return allowed as typeof asCaller
  const view = call.engine.contracts.get(params.contract)
  if (view === undefined) throw new Error(`The contract ${params.contract} has a config and no view`)
  return ok(contractView(view))
}
