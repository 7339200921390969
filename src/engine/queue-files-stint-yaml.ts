// The grammar of `stint-queue.yaml`: what App Engine's file cannot say, by the name of the queue. Times are in seconds; what is not said is the default.
import { isLoopbackUrl } from '../domain/policy/url-pattern.ts'
import { DEFAULT_BACKOFF, DEFAULT_DEBOUNCE_MS, DEFAULT_STINT_SETTINGS, defaultBurst, type Backoff, type Rate, type StintSettings, type Webhook } from '../domain/queue/config.ts'
import { childrenOf, faultOf, mapping, readDocument, record, refuse, scalar, type Fault, type Read, type ReadDocument } from './queue-files-document.ts'
import { decimal, flag, integer, ratePerSecond, seconds, text } from './queue-files-forms.ts'

const WEEK_SECONDS = 604_800
const MONTH_SECONDS = 2_592_000
const RATE_MAX = 1_000_000
const URL_LENGTH_MAX = 2_000

const backoffFields = mapping(
  {},
  {
    minSeconds: seconds({ min: 0, max: MONTH_SECONDS }),
    maxSeconds: seconds({ min: 0, max: MONTH_SECONDS }),
    doublings: integer({ min: 0, max: 1_000 }),
    jitter: decimal({ min: 0, max: 1 }),
  },
)

const backoff: Read<Backoff> = (spot) => {
  const fields = backoffFields(spot)
  if (fields === undefined) return undefined
  const { minSeconds: minMs = DEFAULT_BACKOFF.minMs, maxSeconds: maxMs = DEFAULT_BACKOFF.maxMs, doublings = DEFAULT_BACKOFF.doublings, jitter = DEFAULT_BACKOFF.jitter } = fields
  if (minMs > maxMs) return refuse(spot, 'range', `Expected minSeconds (${minMs / 1000}) to be at most maxSeconds (${maxMs / 1000}).`)
  return { minMs, maxMs, doublings, jitter }
}

/** The address may hold a secret, so it is not shown. */
const webhookUrl: Read<string> = scalar((value): string | Fault => {
  const url = URL.canParse(value) && value.length <= URL_LENGTH_MAX ? new URL(value) : undefined
  const isFit = url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && !/\s/.test(value)
  return isFit ? value : { code: 'form', detail: `Expected an http or https address of at most ${URL_LENGTH_MAX} characters, without user and password.` }
})

const VARIABLE = /^[A-Za-z_][A-Za-z0-9_]{0,199}$/

const webhookFields = mapping(
  { url: webhookUrl },
  { debounceSeconds: seconds({ min: 0, max: 3_600 }), secretEnv: text(VARIABLE, 'the name of an environment variable: letters, digits and _, at most 200') },
)

const webhook: Read<Webhook> = (spot) => {
  const fields = webhookFields(spot)
  if (fields === undefined) return undefined
  const { url, debounceSeconds: debounceMs = DEFAULT_DEBOUNCE_MS, secretEnv } = fields
  if (secretEnv === undefined && !isLoopbackUrl(url))
    return refuse(
      { ...spot, path: `${spot.path}/secretEnv` },
      'required',
      'Expected secretEnv, the name of the environment variable with the secret: only calls to this machine may go unsigned.',
    )
  return { url, debounceMs, ...(secretEnv === undefined ? {} : { secretEnv }) }
}

const settingsFields = mapping(
  {},
  {
    deadLetter: flag,
    defaultLeaseSeconds: seconds({ min: 0.1, max: WEEK_SECONDS }),
    maxWaitSeconds: seconds({ min: 0, max: 60 }),
    backoff,
    rate: ratePerSecond({ mayRest: false, max: RATE_MAX }),
    burst: integer({ min: 1, max: RATE_MAX }),
    keyConcurrency: integer({ min: 1, max: 1_000 }),
    webhook,
  },
)

const rateOf = (perSecond: number | undefined, burst: number | undefined): Rate | undefined =>
  perSecond === undefined ? undefined : { perSecond, burst: burst ?? defaultBurst(perSecond) }

const settings: Read<StintSettings> = (spot) => {
  const fields = settingsFields(spot)
  if (fields === undefined) return undefined
  const { burst, webhook: told } = fields
  const rate = rateOf(fields.rate, burst)
  if (burst !== undefined && rate === undefined) {
    const at = childrenOf(spot).find(({ key }) => key === 'burst')?.spot ?? spot
    return refuse(at, 'required', 'Expected a rate beside the burst, but it is missing.')
  }
  return {
    deadLetter: fields.deadLetter ?? DEFAULT_STINT_SETTINGS.deadLetter,
    defaultLeaseMs: fields.defaultLeaseSeconds ?? DEFAULT_STINT_SETTINGS.defaultLeaseMs,
    maxWaitMs: fields.maxWaitSeconds ?? DEFAULT_STINT_SETTINGS.maxWaitMs,
    backoff: fields.backoff ?? DEFAULT_STINT_SETTINGS.backoff,
    keyConcurrency: fields.keyConcurrency ?? DEFAULT_STINT_SETTINGS.keyConcurrency,
    ...(rate === undefined ? {} : { rate }),
    ...(told === undefined ? {} : { webhook: told }),
  }
}

/**
 * Reads the text of a `stint-queue.yaml`; `path` stands in its errors. `names` are the queues of the file beside it; undefined when that one is wrong, so that
 * nothing is said of names that may well be in it.
 */
export const readStintYaml = (path: string, content: string, names: ReadonlySet<string> | undefined): ReadDocument<ReadonlyMap<string, StintSettings>> => {
  const known = record(settings, ({ key }) => (names === undefined || names.has(key) ? undefined : faultOf('no-such-queue', 'the name of a queue in queue.yaml', key)))
  const { value, errors, notices } = readDocument(path, content, mapping({ queues: known }, {}))
  return value === undefined ? { errors, notices } : { value: value.queues, errors, notices }
}
