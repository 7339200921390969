// A Stint behind a gateway, with a client through it and one past it: the stage of the tests of requesters and of workers of contracts.
import { afterEach, beforeEach } from 'vitest'
import { connect, StintError, type HistoryEvent, type RequestHandler, type RequestWorkerOptions, type Stint, type Worker } from '../../src/client/index.ts'
import { startGateway, type Fate, type Gateway, type Seen } from './gateway.ts'
import { startRealStint, type RealStint } from './real-stint.ts'

export interface ContractStage {
  readonly stint: RealStint
  readonly gateway: Gateway
  /** Through the gateway. */
  readonly client: Stint
  /** Past it. */
  readonly admin: Stint
  /** Code or name of each problem that a worker was told of, and whose it is. */
  readonly problems: [string, string | undefined][]
}

export const contractStage = () => {
  let stage: ContractStage
  beforeEach(async () => {
    const stint = await startRealStint()
    const gateway = await startGateway(stint.url)
    stage = { stint, gateway, client: connect({ url: gateway.url }), admin: connect({ url: stint.url }), problems: [] }
  })
  afterEach(async () => {
    await stage.client.close()
    await stage.admin.close()
    await stage.gateway.close()
    await stage.stint.close()
  })

  return {
    at: (): ContractStage => stage,
    /** A worker of `pay`; past the gateway unless said. */
    works: (handler: RequestHandler, options: Partial<RequestWorkerOptions> = {}, by: Stint = stage.admin): Worker =>
      by.requestWorker(
        {
          contract: 'pay',
          graceSeconds: 0,
          flushSeconds: 1,
          // A machine that has a lot to do is no part of these stories.
          isBusy: () => false,
          onProblem: (problem, id) => stage.problems.push([problem instanceof StintError ? problem.code : problem.name, id]),
          ...options,
        },
        handler,
      ),
    typesOf: async (id: string): Promise<readonly string[]> => (await stage.admin.requests.history({ contract: 'pay', id }, { limit: 1_000 })).items.map(({ type }) => type),
    /** Resolves with the first `count` events of a request, past or to come, that are of this type. */
    happened: async (id: string, type: string, count = 1): Promise<readonly HistoryEvent[]> => {
      const events: HistoryEvent[] = []
      const follower = connect({ url: stage.stint.url })
      for await (const event of follower.events({ workItem: `request/pay/local/${id}`, after: 'start', types: [type] })) if (events.push(event) === count) break
      await follower.close()
      return events
    },
    /** Decides the fate of the first `count` exchanges that fit. */
    first: (count: number, fits: (request: Seen) => boolean, fate: Fate): void => {
      let left = count
      stage.gateway.treat((request) => {
        if (left === 0 || !fits(request)) return 'pass'
        left -= 1
        return fate
      })
    },
  }
}

export const isCall = ({ method }: Seen): boolean => method === 'PUT'
export const isReplying = ({ method, path }: Seen): boolean => method === 'POST' && path.endsWith('/replies')
export const isAskingForReply = ({ method, path }: Seen): boolean => method === 'GET' && path.endsWith('/reply')
export const isRelease = ({ method }: Seen): boolean => method === 'DELETE'
