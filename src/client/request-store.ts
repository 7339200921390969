// Where a caller keeps what it has asked and not finished with, so that a restart of its own loses no request and no reply.

/** One request as it was asked. Plain JSON: it may be written as it is. */
export interface PendingRequest {
  readonly contract: string
  readonly id: string
  readonly mediaType: string
  readonly bodyBase64: string
  /** Where the reply was asked to be delivered. */
  readonly callback?: string | undefined
  /** When it was asked. */
  readonly at: string
  /** The reply was given once: it can be asked for by the id alone, and what was asked may be empty here. */
  readonly isAnswered?: boolean | undefined
  /** The reply was dealt with, and only its release is still to be told. */
  readonly isDone?: boolean | undefined
}

/** Keeps pending requests under their ids: contracts whose callers choose ids have a store each. Each promise resolves when it is durable: nothing is sent before. What one of them throws, the call throws. */
export interface RequestStore {
  /** Puts an entry in the place of the one with its id, if there is one. */
  readonly put: (entry: PendingRequest) => Promise<void> | void
  /** Forgets an entry; one that is not there is none to forget. */
  readonly delete: (id: string) => Promise<void> | void
  /** One entry, if it is there. Without this, a call that chooses its id walks all that are pending. */
  readonly get?: (id: string) => Promise<PendingRequest | undefined> | PendingRequest | undefined
  /** The reply was given: what was asked may be forgotten, its id may not. Without this the entry stays as it is. */
  readonly answered?: (id: string) => Promise<void> | void
  readonly pending: () => AsyncIterable<PendingRequest> | Iterable<PendingRequest>
}

/**
 * A store that lasts as long as the process: for tests, and for callers whose process outlives their requests. An entry ends with the release of its reply or with a refusal that is final;
 * where replies go by themselves (`none-required`), as soon as the reply is given. Of a reply that was given and is not released only the id is kept.
 */
export const memoryRequestStore = (): RequestStore => {
  const entries = new Map<string, PendingRequest>()
  return {
    put: (entry) => void entries.set(entry.id, entry),
    get: (id) => entries.get(id),
    answered: (id) => {
      const entry = entries.get(id)
      if (entry !== undefined) entries.set(id, { ...entry, bodyBase64: '', isAnswered: true })
    },
    delete: (id) => void entries.delete(id),
    pending: () => [...entries.values()],
  }
}
