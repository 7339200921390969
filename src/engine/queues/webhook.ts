// The webhook of one queue as this server has it: whether it may be called, with what it signs, and how its calls have gone. Kept in memory alone: that there is work
// can be seen from the queue at any time, so a call that is lost with the server is made anew after its start.
import * as E from 'fp-ts/lib/Either.js'
import type { Webhook } from '../../domain/queue/config.ts'
import type { World } from '../../world.ts'
import type { Deliveries, Outcome } from '../delivery/deliveries.ts'
import { secretsFor, type Addressees } from '../delivery/addressee.ts'

export interface WebhookView {
  readonly url: string
  /** Why it is off: a sentence; undefined: it is on. */
  readonly off?: string | undefined
  readonly lastAttemptAt?: number | undefined
  readonly lastStatus?: number | undefined
  /** Why the last attempt failed, unless it succeeded. */
  readonly lastError?: string | undefined
  /** Attempts that failed since the last one that succeeded. */
  readonly failures: number
  readonly nextAttemptAt?: number | undefined
}

export interface WebhookEnd {
  readonly config: Webhook
  readonly isOn: () => boolean
  readonly view: () => WebhookView
  /** Sends it; while one is under way nothing more is sent, and `onAgain` is called when that one is acknowledged. */
  readonly send: (about: string, body: string) => void
  /** Gives up what is under way. */
  readonly close: () => void
}

export interface WebhookOptions extends Addressees {
  readonly world: World
  readonly deliveries: Deliveries
}

export const createWebhook = (config: Webhook, options: WebhookOptions, onAgain: () => void): WebhookEnd => {
  const { world, deliveries } = options
  const ready = secretsFor(config, options)
  let off = E.isLeft(ready) ? ready.left : undefined
  let last: Pick<WebhookView, 'lastAttemptAt' | 'lastStatus' | 'lastError' | 'nextAttemptAt'> = {}
  let failures = 0
  let underWay: AbortController | undefined
  let isMore = false

  const ended = (outcome: Outcome): void => {
    underWay = undefined
    if (outcome.type === 'acknowledged') {
      failures = 0
      last = { lastAttemptAt: outcome.at, lastStatus: outcome.status }
      if (isMore) onAgain()
    } else if (outcome.reason === 'gone') off = 'Its receiver answered 410: it does not want to be told. It is on again when its file changes or the server starts anew.'
    isMore = false
  }

  return {
    config,
    isOn: () => off === undefined,
    view: () => ({ url: config.url, off, failures, ...last }),
    send: (about, body) => {
      if (off !== undefined || E.isLeft(ready)) return
      if (underWay !== undefined) {
        isMore = true
        return
      }
      underWay = new AbortController()
      const message = { id: `msg_${world.uuid()}`, url: config.url, about, body, secrets: ready.right }
      const onFailed = ({ at, status, detail, nextAt }: { at: number; status?: number | undefined; detail: string; nextAt?: number | undefined }): void => {
        failures += 1
        last = { lastAttemptAt: at, lastStatus: status, lastError: detail, nextAttemptAt: nextAt }
      }
      void deliveries.send(message, { signal: underWay.signal, onFailed }).then(ended)
    },
    close: () => underWay?.abort(),
  }
}
