// A server with queues from real queue files of two applications, and everybody who has a part in them, each with a token.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readQueueFiles } from '../../src/engine/queue-files.ts'
import { startApi, type TestApi } from '../support/api.ts'
import { right, startEngine, type TestEngine } from '../support/engine.ts'

export const PRODUCER = 'producer@example.com'
export const WORKER = 'worker@example.com'
export const OTHER_WORKER = 'other-worker@example.com'
export const BOTH = 'both@example.com'
export const STRANGER = 'stranger@example.com'
/** Of the other application. */
export const STORE_PRODUCER = 'store-producer@example.com'
export const STORE_WORKER = 'store-worker@example.com'
export const ADMIN = 'admin@example.com'

const LISTS = `
  acl:
  - writer_email: ${PRODUCER}
  - user_email: ${WORKER}
  - user_email: ${OTHER_WORKER}
  - writer_email: ${BOTH}
  - user_email: ${BOTH}`

const SHOP = `queue:
- name: mail
  mode: pull${LISTS}
- name: letters
  mode: pull
  retry_parameters:
    task_retry_limit: 2${LISTS}
- name: push-mail
  mode: push
  rate: 5/s${LISTS}
- name: nobodys
  mode: pull
`

const STORE = `queue:
- name: mail
  mode: pull
  acl:
  - writer_email: ${STORE_PRODUCER}
  - user_email: ${STORE_WORKER}
`

/** Brings the files of a config directory into the log. */
const applyFiles = async ({ engine, world }: TestEngine, files: Readonly<Record<string, string>>): Promise<void> => {
  const directory = await mkdtemp(join(tmpdir(), 'stint-dialect-'))
  try {
    for (const [app, text] of Object.entries(files)) {
      await mkdir(join(directory, 'apps', app), { recursive: true })
      await writeFile(join(directory, 'apps', app, 'queue.yaml'), text)
    }
    const { queues } = right(await readQueueFiles(directory))
    right(await engine.queues.apply(queues, 'change', { subject: 'stint', actor: 'stint', commandId: world.uuid() }))
  } finally {
    await rm(directory, { recursive: true })
  }
}

export interface Stage extends TestApi {
  /** The token of an e-mail, made when it is first asked for. */
  readonly token: (email: string) => Promise<string>
  /** Leaves only the queues of these applications. */
  readonly apply: (files: Readonly<Record<string, string>>) => Promise<void>
  readonly removeShop: () => Promise<void>
}

/** Leases of a server that has just started last at least so long. */
const GRACE_MS = 30_000

/** Starts a server with tokens, past its first grace; `closeAll` of the api's support closes it. */
export const openStage = async (): Promise<Stage> => {
  const engine = await startEngine({ settings: { openQueues: false } })
  engine.world.advance(GRACE_MS)
  await applyFiles(engine, { shop: SHOP, store: STORE })
  const api = await startApi({ engine, settings: { auth: { tokens: true } } })
  const tokens = new Map<string, Promise<string>>()
  const token = (email: string): Promise<string> => {
    const known = tokens.get(email) ?? api.tokenFor(email, ...(email === ADMIN ? (['admin'] as const) : []))
    tokens.set(email, known)
    return known
  }
  return { ...api, token, apply: (files) => applyFiles(engine, files), removeShop: () => applyFiles(engine, { store: STORE }) }
}

/** Text as it travels in `payloadBase64`. */
export const base64 = (text: string): string => Buffer.from(text).toString('base64').replaceAll('+', '-').replaceAll('/', '_')

export const textOf = (payloadBase64: string): string => Buffer.from(payloadBase64, 'base64url').toString()
