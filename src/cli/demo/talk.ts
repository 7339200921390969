// What the demo's processes tell the one that started them: a line of JSON on stdout for each thing.
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export type Message =
  /** It takes requests at this address. */
  | { readonly type: 'listening'; readonly url: string }
  /** The wish to abort this job has arrived. */
  | { readonly type: 'aborting'; readonly job: string }
  /** Jobs of a killed process were taken over. */
  | { readonly type: 'takenOver'; readonly jobs: readonly string[] }
  /** What a worker has done so far, and whether it says that it is busy. */
  | { readonly type: 'figures'; readonly inHand: number; readonly completed: number; readonly givenBack: number; readonly isBusy: boolean }
  /** Something went wrong that the process lives with. */
  | { readonly type: 'problem'; readonly detail: string; readonly job?: string | undefined }

const TYPES: ReadonlySet<unknown> = new Set<Message['type']>(['listening', 'aborting', 'takenOver', 'figures', 'problem'])

export const tell = (message: Message): void => void process.stdout.write(`${JSON.stringify(message)}\n`)

export const listening = (server: Server): void => {
  const { port } = server.address() as AddressInfo
  tell({ type: 'listening', url: `http://127.0.0.1:${port}` })
}

/** The message of a line, or undefined for a line that is none. */
export const messageOf = (line: string): Message | undefined => {
  if (!line.startsWith('{')) return undefined
  try {
    const value = JSON.parse(line) as { readonly type?: unknown }
    return TYPES.has(value.type) ? (value as Message) : undefined
  } catch {
    return undefined
  }
}
