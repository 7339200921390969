// The callers of the web service: they send one request after another to the load balancer, so that a steady number of jobs is under way until the story has been told.
import { pause, type World } from '../../world.ts'
import { isSettled } from '../look.ts'
import type { Lookout } from './lookout.ts'
import type { Request } from './workload.ts'

const LOOK_EVERY_MS = 100
/** Tries of one request, while a job server dies under it. */
const TRIES_MAX = 5
const AGAIN_MS = 300

export interface Sent {
  readonly request: Request
  /** The id of its job. */
  readonly job: string
}

export interface Feeder {
  /** Sends the next request at once. Throws when no server takes it. */
  readonly send: () => Promise<Sent>
  /** Every request that was taken, in order. */
  readonly sent: () => readonly Sent[]
  /** Sends until there have been as many as were wanted at least, and no more. Rejects when a request was refused. */
  readonly finish: () => Promise<void>
  readonly close: () => void
}

export interface FeederSetting {
  readonly world: World
  readonly lookout: Lookout
  /** Address of the load balancer. */
  readonly url: string
  readonly requestAt: (number: number) => Request
  /** Jobs under way at a time. */
  readonly atOnce: number
  /** Requests that are sent in any case. */
  readonly least: number
}

export const createFeeder = ({ world, lookout, url, requestAt, atOnce, least }: FeederSetting): Feeder => {
  const sent: Sent[] = []
  let next = 0
  let isEnough = false
  const closed = new AbortController()

  /** The job's id is made here, so that a request whose answer was cut off can be repeated: it becomes a job once, whatever happens. */
  const send = async (): Promise<Sent> => {
    const request = requestAt(next)
    next += 1
    const id = world.uuid()
    const body = JSON.stringify({ id, directory: request.directory, label: request.label })
    for (let tries = 1; ; tries += 1) {
      const response = await fetch(`${url}/index`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body, signal: closed.signal })
      const isTaken = response.status === 202 || (tries > 1 && response.status === 409)
      const detail = await response.text()
      if (isTaken) break
      if (response.status < 500 || tries >= TRIES_MAX) throw new Error(`Expected the request for ${request.label} to be taken, but the answer was ${response.status}: ${detail}`)
      await pause(world, AGAIN_MS, closed.signal)
    }
    const taken: Sent = { request, job: id }
    sent.push(taken)
    return taken
  }

  /** Not settled, as far as is known. */
  const underWay = (): number => sent.filter(({ job }) => !isSettled(lookout.job(job)?.state ?? 'running')).length

  const feed = async (): Promise<void> => {
    while (!closed.signal.aborted && !(isEnough && next >= least)) {
      if (!lookout.isBlind() && underWay() < atOnce) await send()
      else await pause(world, LOOK_EVERY_MS, closed.signal)
    }
  }
  const fed = feed()
  fed.catch(() => undefined)

  return {
    send,
    sent: () => sent,
    finish: async () => {
      isEnough = true
      await fed
    },
    close: () => closed.abort(new Error('The demo was ended.')),
  }
}
