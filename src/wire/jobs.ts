// Job proxies (A): what job servers and administrators say to Stint over HTTP.
import type * as t from 'io-ts'
import {
  common,
  directiveAnswer,
  directiveBody,
  givenAnswer,
  historyEvent,
  itemId,
  lease,
  page,
  pageQuery,
  reportAnswer,
  reportBody,
  reportFields,
  route,
  state,
  why,
} from './items.ts'
import { fields, instant, jsonObject, number, text } from './schema.ts'

/** Bytes of a job's attributes as JSON, at most. */
export const ATTRIBUTES_BYTES_MAX = 16 * 1024
/** Seconds between two reports or polls, unless the job server says otherwise. */
export const REPORT_EVERY_SECONDS = 5
/** Seconds after which a lost job settles, unless the job server says otherwise. */
export const LOST_AFTER_SECONDS = 86_400

const name = text({ min: 1, max: 200 })

const registered = {
  service: name,
  server: name,
}
const described = {
  label: text({ max: 200 }),
  attributes: jsonObject(ATTRIBUTES_BYTES_MAX),
  expectedSeconds: number({ min: 0, max: 31_536_000, description: 'how long it is expected to take' }),
  reportEverySeconds: number({ min: 0.1, max: 3_600, description: `promised interval of reports or polls (${REPORT_EVERY_SECONDS})` }),
  silenceSeconds: number({ min: 0.3, max: 86_400, description: 'silence after which the job is lost (3 × reportEverySeconds)' }),
  lostAfterSeconds: number({ min: 1, max: 31_536_000, description: `seconds after which a lost job settles (${LOST_AFTER_SECONDS})` }),
}

export const registerBody = fields(registered, { id: itemId, instance: text({ min: 1, max: 100, description: 'made by the SDK once per process' }), ...described })
export type RegisterBody = t.TypeOf<typeof registerBody>

/** A job proxy as everybody sees it. */
export const jobProxy = fields({ ...common.required, ...registered }, { ...common.optional, ...described })
export type JobProxy = t.TypeOf<typeof jobProxy>

/** A job proxy as its holder sees it: with the lease. */
export const registeredJob = fields({ ...common.required, ...registered }, { ...common.optional, ...described, lease, leaseUntil: instant })
export type RegisteredJob = t.TypeOf<typeof registeredJob>

const oneJob = fields({ id: itemId })

export const registerJob = route({
  name: 'registerJob',
  method: 'POST',
  path: '/v1/jobs',
  tag: 'jobs',
  summary: 'Register a job and create its proxy',
  roles: ['jobServer'],
  body: registerBody,
  many: true,
  answers: { 201: registeredJob, 200: registeredJob },
  headers: ['Idempotency-Key'],
  problems: ['exists-with-other-content', 'id-in-use', 'too-many-live', 'lagging'],
})

export const listJobs = route({
  name: 'listJobs',
  method: 'GET',
  path: '/v1/jobs',
  tag: 'jobs',
  summary: 'List job proxies, newest first',
  roles: ['viewer', 'jobServer'],
  fromTables: true,
  query: fields({}, { service: name, server: name, label: text({ max: 200 }), state, ...pageQuery }),
  answers: { 200: page(jobProxy) },
})

export const showJob = route({
  name: 'showJob',
  method: 'GET',
  path: '/v1/jobs/{id}',
  tag: 'jobs',
  summary: 'Show a job proxy',
  roles: ['viewer', 'jobServer'],
  params: oneJob,
  answers: { 200: jobProxy },
  headers: ['If-None-Match', 'Prefer'],
  problems: ['not-found'],
})

export const reportJob = route({
  name: 'reportJob',
  method: 'POST',
  path: '/v1/jobs/{id}/reports',
  tag: 'jobs',
  summary: 'Report phase, progress, state or outcome, and learn the directive',
  roles: ['jobServer'],
  params: oneJob,
  body: reportBody,
  answers: { 200: reportAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

export const reportJobs = route({
  name: 'reportJobs',
  method: 'POST',
  path: '/v1/jobs/reports',
  tag: 'jobs',
  summary: 'Report on one or many jobs of a server in one exchange',
  roles: ['jobServer'],
  body: fields({ id: itemId, ...reportFields.required }, reportFields.optional),
  many: true,
  answers: { 200: reportAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

export const askJobDirective = route({
  name: 'askJobDirective',
  method: 'GET',
  path: '/v1/jobs/{id}/directive',
  tag: 'jobs',
  summary: 'What does the administrator want? With the lease it is a sign of life',
  roles: ['viewer', 'jobServer'],
  params: oneJob,
  answers: { 200: directiveAnswer },
  headers: ['If-None-Match', 'Prefer', 'Stint-Lease'],
  problems: ['not-found', 'stale-lease', 'settled'],
})

export const directJob = route({
  name: 'directJob',
  method: 'POST',
  path: '/v1/jobs/{id}/directives',
  tag: 'jobs',
  summary: 'Abort, pause or resume a job',
  roles: [],
  params: oneJob,
  body: directiveBody,
  answers: { 200: givenAnswer },
  headers: ['Idempotency-Key'],
  problems: ['not-found', 'settled', 'aborting'],
})

export const jobHistory = route({
  name: 'jobHistory',
  method: 'GET',
  path: '/v1/jobs/{id}/history',
  tag: 'jobs',
  summary: 'Every change of a job, in order',
  roles: ['viewer', 'jobServer'],
  params: oneJob,
  query: fields({}, pageQuery),
  answers: { 200: page(historyEvent) },
  problems: ['not-found'],
})

export const jobWhy = route({
  name: 'jobWhy',
  method: 'GET',
  path: '/v1/jobs/{id}/why',
  tag: 'jobs',
  summary: 'Why is it in the state it is in?',
  roles: ['viewer', 'jobServer'],
  params: oneJob,
  answers: { 200: why },
  problems: ['not-found'],
})
