// Why a store was not opened, as a person reads it: each message says what to do.

export type OpenProblem = 'in-use' | 'sqlite-too-old' | 'file-system' | 'not-a-store' | 'schema-too-new' | 'schema-too-old' | 'settings' | 'io'

export class StoreOpenError extends Error {
  readonly problem: OpenProblem
  constructor(problem: OpenProblem, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StoreOpenError'
    this.problem = problem
  }
}
