// Every setting of a server in one table: its name in `stint.yaml`, flag, environment variable, unit, default and meaning. The config, the help and the docs are made from it.
import * as t from 'io-ts'
import * as E from 'fp-ts/lib/Either.js'
import { mistakeInConnection } from './domain/policy/connection-string.ts'
import { parseUrlPattern } from './domain/policy/url-pattern.ts'
import { defaultApiSettings } from './api/settings.ts'
import { checkedText, fields, number, oneOf, text, type Described } from './wire/schema.ts'

/** `data` of a server that keeps nothing. */
export const IN_MEMORY = ':memory:'
/** The log in a data directory, and the tabular projections beside it, which can be thrown away. */
export const LOG_FILE = 'stint.db'
export const TABLES_FILE = 'tables.db'

/** How a text from flag or environment is read. */
export type Form = 'text' | 'number' | 'flag' | 'list'

export interface Setting<Value> {
  readonly codec: t.Type<Value, unknown, unknown>
  readonly form: Form
  readonly flag: string
  readonly env: string
  /** Shown behind the flag: `<port>`. */
  readonly placeholder: string
  readonly unit?: string | undefined
  readonly default: Value
  readonly what: string
}

type Given<Value> = Pick<Setting<Value>, 'default' | 'what' | 'unit' | 'placeholder'>

const setting = <Value>(name: string, form: Form, codec: t.Type<Value, unknown, unknown>, given: Given<Value>): Setting<Value> => {
  const words = name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
  return { codec, form, flag: `--${words}`, env: `STINT_${words.replaceAll('-', '_').toUpperCase()}`, ...given }
}

const count = (description: string): Described<number> => number({ min: 1, max: 1_000_000_000, integer: true, description })

/** Instead of a number of days: never. */
export const OFF = 'off'
const daysNumber = number({ min: 0, max: 36_500 })
const days = new t.Type<number | typeof OFF, unknown, unknown>(
  'days',
  (u): u is number | typeof OFF => u === OFF || daysNumber.is(u),
  (u, context) => {
    if (u === OFF) return t.success(OFF)
    return typeof u === 'number' ? daysNumber.validate(u, context) : t.failure(u, context, `type:Expected a number of days, or ${OFF}.`)
  },
  (value) => value,
)

const flag: t.Type<boolean, unknown, unknown> = t.boolean
const path = text({ min: 1, max: 4_000 })
const url = text({ max: 2_000, pattern: /^(?:https?:\/\/\S+)?$/ })

/** A pattern of URLs, as it was written. */
const urlPattern = checkedText(2_000, (written) => {
  const parsed = parseUrlPattern(written)
  return E.isLeft(parsed) ? parsed.left : undefined
})

const { bodyBytesMax, manyBytesMax, connectionsMax, eventClientsMax } = defaultApiSettings

export const settings = {
  port: setting('port', 'number', number({ min: 0, max: 65_535, integer: true }), { placeholder: 'port', default: 7070, what: 'TCP port to listen on; 0 takes a free one' }),
  host: setting('host', 'text', text({ min: 1, max: 253 }), { placeholder: 'address', default: '127.0.0.1', what: 'address to listen on; without auth only a loopback one' }),
  data: setting('data', 'text', path, { placeholder: 'directory', default: './stint-data', what: 'directory of log and tables, made if missing; `:memory:` keeps nothing' }),
  store: setting(
    'store',
    'text',
    checkedText(4_000, (given) => (given === '' ? undefined : mistakeInConnection(given))),
    {
      placeholder: 'url',
      default: '',
      what: 'EventStoreDB or KurrentDB that holds the log: esdb://…, with a password better in STINT_STORE; `data` then has the tables only',
    },
  ),
  auth: setting('auth', 'text', oneOf('none', 'tokens', 'jwt', 'tokens+jwt'), {
    placeholder: 'kind',
    default: 'none',
    what: 'who may call: none (this machine only), tokens (`stint tokens`), jwt, tokens+jwt',
  }),
  jwtKeysUrl: setting('jwtKeysUrl', 'text', url, { placeholder: 'url', default: '', what: 'where the issuer of JWTs publishes its keys (JWKS)' }),
  jwtIssuer: setting('jwtIssuer', 'text', text({ max: 1_000 }), { placeholder: 'text', default: '', what: '`iss` that JWTs must carry' }),
  jwtAudience: setting('jwtAudience', 'text', text({ max: 1_000 }), { placeholder: 'text', default: '', what: '`aud` that JWTs must carry' }),
  hosts: setting('hosts', 'list', t.array(text({ min: 1, max: 253 })), {
    placeholder: 'names',
    default: [] as string[],
    what: 'without auth: names beside loopback that the `Host` header may carry, separated by commas',
  }),
  allowUrls: setting('allowUrls', 'list', t.array(urlPattern), {
    placeholder: 'patterns',
    default: [] as string[],
    what: 'URLs that webhooks and callbacks may be sent to, and at which nodes may be called: https://hooks.example.com, https://*.example.com/stint/, http://127.0.0.1:*; without auth this machine too',
  }),
  server: setting('server', 'text', text({ max: 100 }), {
    placeholder: 'name',
    default: '',
    what: 'name of this server in the metadata of events, which no other over the same log may have. Unless set: `stint`, and with `store` one that is made once and kept in `data`',
  }),
  advertise: setting('advertise', 'text', text({ max: 2_000, pattern: /^(?:https?:\/\/[^\s/?#@]+\/?)?$/ }), {
    placeholder: 'url',
    default: '',
    what: 'with `store`: where the other servers over the same log reach this one, behind a proxy or in a container: http://stint-1:7070. Unless set: where it listens',
  }),
  maxLiveItems: setting('maxLiveItems', 'number', count('items'), {
    placeholder: 'count',
    unit: 'work items',
    default: 1_000_000,
    what: 'more live work items than this are refused with 429',
  }),
  retentionDays: setting('retentionDays', 'number', days, {
    placeholder: 'days',
    unit: 'days',
    default: 30,
    what: 'settled jobs and tasks are erased after so many days; 0: at once, off: never',
  }),
  releasedKeptDays: setting('releasedKeptDays', 'number', days, {
    placeholder: 'days',
    unit: 'days',
    default: 1,
    what: 'requests are erased so many days after the release of their reply; 0: at once, off: never. A repeat is still refused',
  }),
  bodyBytesMax: setting('bodyBytesMax', 'number', count('bytes'), { placeholder: 'bytes', unit: 'bytes', default: bodyBytesMax, what: 'largest body of a request' }),
  manyBytesMax: setting('manyBytesMax', 'number', count('bytes'), {
    placeholder: 'bytes',
    unit: 'bytes',
    default: manyBytesMax,
    what: 'largest body of a request that carries many items',
  }),
  connectionsMax: setting('connectionsMax', 'number', count('connections'), {
    placeholder: 'count',
    unit: 'connections',
    default: connectionsMax,
    what: 'open connections; each idle long poll has one',
  }),
  eventClientsMax: setting('eventClientsMax', 'number', count('clients'), { placeholder: 'count', unit: 'clients', default: eventClientsMax, what: 'clients of the event stream' }),
  shutdownSeconds: setting('shutdownSeconds', 'number', number({ min: 0, max: 3_600 }), {
    placeholder: 'seconds',
    unit: 'seconds',
    default: 10,
    what: 'how long a stopping server waits for the requests that it took',
  }),
  allowAnyFileSystem: setting('allowAnyFileSystem', 'flag', flag, { placeholder: '', default: false, what: 'accept a data directory on a network or shared file system' }),
  logLevel: setting('logLevel', 'text', oneOf('trace', 'debug', 'info', 'warn', 'error', 'silent'), {
    placeholder: 'level',
    default: 'info',
    what: 'least level of what is logged',
  }),
} as const

export type SettingName = keyof typeof settings

type ValueOf<S> = S extends Setting<infer Value> ? Value : never

/** Everything set. */
export type ServerConfig = { readonly [Name in SettingName]: ValueOf<(typeof settings)[Name]> }

export const settingNames = Object.keys(settings) as readonly SettingName[]

/** A `stint.yaml`: any of the settings, and nothing else. */
export const settingsCodec = fields({}, Object.fromEntries(settingNames.map((name) => [name, settings[name].codec])))

/** A setting's default as people read it. */
export const defaultText = (name: SettingName): string => {
  const value = settings[name].default
  if (Array.isArray(value) || value === '') return 'none'
  return String(value)
}
