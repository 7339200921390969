// Thousands of requests by chance, made from the wire's own codecs and spoiled: whatever comes, the answer is one that the OpenAPI document names.
import fc from 'fast-check'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { openApiDocument } from '../../src/api/openapi.ts'
import { jobId, longTaskId, taskId } from '../../src/domain/ids.ts'
import { LOOPBACK_PATTERNS } from '../../src/domain/policy/url-pattern.ts'
import { isHeld } from '../../src/domain/work-item/state.ts'
import { settle, startEngine } from '../support/engine.ts'
import { allRoutes, closeAll, startApi, type Answer, type TestApi } from '../support/api.ts'
import { CURRENT_LEASE, requestFor, spoiledBody, type RandomRequest } from '../support/arbitraries.ts'

const REQUESTS = 5_000
const AT_ONCE = 50
/** Set STINT_FUZZ_SEED to run another, or a failed, sequence. */
const SEED = Number(process.env['STINT_FUZZ_SEED'] ?? 20_260_101)

let api: TestApi

beforeAll(async () => {
  api = await startApi({ engine: await startEngine({ settings: { allowUrls: LOOPBACK_PATTERNS } }) })
})
afterAll(closeAll)

const segment = (value: unknown): string => encodeURIComponent(String(value ?? 'a')) || '%20'

const leaseOf = (request: RandomRequest, id: unknown): string => {
  const { app, queue } = request.params
  const name = String(id ?? request.params['id'])
  // A long task is taken under the lease that it was given out with.
  if (/^\/v1\/(?:long-tasks|nodes)/.test(request.route.path)) return api.engine.live(longTaskId(name))?.operation?.lease ?? '1.none'
  const item = api.engine.live(app === undefined ? jobId(name) : taskId(String(app), String(queue), name))
  return item !== undefined && isHeld(item) ? item.lease.token : '1.none'
}

/** The body with the leases that are current now in the places where they are wanted. */
const withLeases = (request: RandomRequest, value: unknown): unknown => {
  if (Array.isArray(value)) return value.map((item) => withLeases(request, item))
  if (typeof value !== 'object' || value === null) return value
  const fields = value as Record<string, unknown>
  if (fields['lease'] === CURRENT_LEASE) return { ...fields, lease: leaseOf(request, fields['id']) }
  return 'items' in fields ? { ...fields, items: withLeases(request, fields['items']) } : fields
}

const ask = (request: RandomRequest): Promise<Answer> => {
  const { route, params, query, spoil } = request
  const search = new URLSearchParams(Object.entries(query).map(([key, value]) => [key, String(value).toWellFormed()])).toString()
  const path = route.path.replace(/\{(\w+)\}/g, (_all, name: string) => segment(params[name])) + (search === '' ? '' : `?${search}`)
  const headers: Record<string, string> = { ...request.headers, ...(spoil.how === 'type' ? { 'Content-Type': 'text/plain' } : {}) }
  if (headers['Stint-Lease'] === CURRENT_LEASE) headers['Stint-Lease'] = leaseOf(request, undefined)
  // A stream that is taken on would not end; its head tells what it would be.
  const method = request.method ?? (route.mediaType === 'text/event-stream' ? 'HEAD' : route.method)
  const body = route.body === undefined || method === 'HEAD' ? undefined : spoiledBody(withLeases(request, request.body), spoil)
  return api.ask(method, path, { headers, body })
}

const document = openApiDocument('0').paths
const documented = (request: RandomRequest, { status }: Answer): boolean => {
  // By another method another route may be found at the path.
  if (request.method !== undefined) return status < 500
  const operation = document[request.route.path]?.[request.route.method.toLowerCase()] as { readonly responses: Readonly<Record<string, unknown>> }
  return String(status) in operation.responses
}

/** Sends some at once and moves the clock on until all are answered, so that waits and leases end too. */
const sendBatch = async (batch: readonly RandomRequest[]): Promise<readonly Answer[]> => {
  let isDone = false
  const answers = Promise.all(batch.map(ask)).finally(() => (isDone = true))
  while (!isDone) {
    await settle()
    api.world.advance(500)
  }
  return answers
}

it(`answers ${REQUESTS} requests by chance without a defect`, { timeout: 360_000 }, async () => {
  process.stdout.write(`fuzz seed ${SEED}\n`)
  const requests = fc.sample(fc.oneof(...allRoutes.map(requestFor)), { seed: SEED, numRuns: REQUESTS })
  const byStatus = new Map<number, number>()
  const surprises: string[] = []
  for (let from = 0; from < REQUESTS; from += AT_ONCE) {
    const batch = requests.slice(from, from + AT_ONCE)
    for (const [index, answer] of (await sendBatch(batch)).entries()) {
      const request = batch[index] as RandomRequest
      byStatus.set(answer.status, (byStatus.get(answer.status) ?? 0) + 1)
      const isBusy = answer.status === 503 && !['stopping', 'behind'].includes(answer.body?.code)
      if (answer.status === 500 || isBusy || !documented(request, answer)) surprises.push(`#${from + index} ${request.route.name}: ${answer.status} ${answer.text.slice(0, 300)}`)
    }
  }
  process.stdout.write(`fuzz answers ${JSON.stringify(Object.fromEntries(byStatus))}\n`)
  expect(surprises, `with seed ${SEED}`).toEqual([])
  expect(api.errors).toEqual([])
  // Chance that never gets past the door proves nothing.
  for (const status of [200, 201, 304, 400, 404, 409]) expect(byStatus.get(status) ?? 0).toBeGreaterThan(0)
})
