// What an earlier instance of this job server left behind when it was killed: taken over and run again, or reported as failed (rules 20).
import * as E from 'fp-ts/lib/Either.js'
import { listJobs, type JobProxy, type RegisterBody, type RegisteredJob } from '../wire/jobs.ts'
import type { Outage } from './complaints.ts'
import { Closed } from './errors.ts'
import type { Http } from './http.ts'
import { mayPass, type Reachability } from './reachability.ts'

const UNSETTLED = ['running', 'paused', 'aborting', 'lost'] as const

export interface TakeoverSetting {
  readonly http: Http
  readonly reachability: Reachability
  readonly service: string
  readonly server: string
  readonly instance: string
  readonly over: AbortSignal
  /** False for a job that this instance has begun itself; else it is kept for the takeover. */
  readonly claim: (id: string) => boolean
  readonly register: (body: RegisterBody & { readonly id: string }) => Promise<E.Either<Error, RegisteredJob>>
  /** A job is now this instance's. */
  readonly onTaken: (registration: RegisterBody & { readonly id: string }, proxy: RegisteredJob) => void
  readonly onProblem: (problem: Error, job?: string) => void
  readonly outage: Outage
}

/** The content with which a job was registered, as its proxy shows it: the same content again makes it this instance's. */
const contentOf = (
  { id, service, server, label, attributes, expectedSeconds, reportEverySeconds, silenceSeconds, lostAfterSeconds }: JobProxy,
  instance: string,
): RegisterBody & { readonly id: string } => ({
  id,
  service,
  server,
  instance,
  ...(label === undefined ? {} : { label }),
  ...(attributes === undefined ? {} : { attributes }),
  ...(expectedSeconds === undefined ? {} : { expectedSeconds }),
  ...(reportEverySeconds === undefined ? {} : { reportEverySeconds }),
  ...(silenceSeconds === undefined ? {} : { silenceSeconds }),
  ...(lostAfterSeconds === undefined ? {} : { lostAfterSeconds }),
})

const leftBehind = async ({ http, service, server, over, claim }: TakeoverSetting): Promise<readonly JobProxy[]> => {
  const found = new Map<string, JobProxy>()
  for (const state of UNSETTLED) {
    let after: string | undefined
    do {
      const page = await http.call(listJobs, { query: { service, server, state, limit: 1_000, after }, signal: over })
      for (const proxy of page.items) if (found.has(proxy.id) || claim(proxy.id)) found.set(proxy.id, proxy)
      after = page.next
    } while (after !== undefined)
  }
  return [...found.values()]
}

const untilListed = async (setting: TakeoverSetting): Promise<readonly JobProxy[]> => {
  for (let repeat = 0; ; repeat += 1) {
    try {
      const proxies = await leftBehind(setting)
      setting.outage.over()
      return proxies
    } catch (failure) {
      if (setting.over.aborted || failure instanceof Closed) return []
      if (!mayPass(failure)) {
        setting.onProblem(failure as Error)
        return []
      }
      setting.outage.met(failure as Error)
      await setting.reachability.pause(failure, repeat, setting.over)
    }
  }
}

/** Takes over all that an earlier instance left unsettled; their ids. Waits for Stint as long as it must; never rejects. */
export const takeOver = async (setting: TakeoverSetting): Promise<readonly string[]> => {
  const proxies = await untilListed(setting)
  const taken = await Promise.all(
    proxies.map(async (proxy) => {
      const content = contentOf(proxy, setting.instance)
      const answer = await setting.register(content)
      if (setting.over.aborted) return undefined
      if (E.isLeft(answer)) return setting.onProblem(answer.left, proxy.id)
      // It was settled since it was listed.
      if (answer.right.lease === undefined) return undefined
      setting.onTaken(content, answer.right)
      return proxy.id
    }),
  )
  return taken.filter((id) => id !== undefined)
}
