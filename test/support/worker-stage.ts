// A whole Stint with a client that speaks to it through a gateway and one that does so directly, and what the workers of the first had problems with.
import { connect, StintError, type Stint, type WorkerOptions } from '../../src/client/index.ts'
import { startGateway, type Gateway } from './gateway.ts'
import { startRealStint, type RealStint } from './real-stint.ts'

/** The queue that workers work on. */
export const MAIL = { app: 'shop', queue: 'mail' }

export interface WorkerStage {
  readonly stint: RealStint
  readonly gateway: Gateway
  /** Through the gateway. */
  readonly client: Stint
  readonly admin: Stint
  /** Code or name of each, with the task that it is about. */
  readonly problems: [string, string | undefined][]
  /** Of a worker whose problems are kept here. */
  readonly options: (given?: Partial<WorkerOptions>) => WorkerOptions
  readonly close: () => Promise<void>
}

export const startWorkerStage = async (): Promise<WorkerStage> => {
  const stint = await startRealStint()
  const gateway = await startGateway(stint.url)
  const client = connect({ url: gateway.url })
  const admin = connect({ url: stint.url })
  const problems: [string, string | undefined][] = []
  return {
    stint,
    gateway,
    client,
    admin,
    problems,
    options: (given = {}) => ({
      ...MAIL,
      graceSeconds: 0,
      flushSeconds: 1,
      // A machine that has a lot to do is no part of these stories: an overloaded worker gives back what it was given.
      isBusy: () => false,
      onProblem: (problem, task) => problems.push([problem instanceof StintError ? problem.code : problem.name, task]),
      ...given,
    }),
    close: async () => {
      await client.close()
      await admin.close()
      await gateway.close()
      await stint.close()
    },
  }
}
