// Turns a route handler of an express-like server into a job. It knows requests and responses by their shape only, so that no web framework is needed here.
import { AlreadyRunning, AlreadySettled } from './errors.ts'
import type { Job } from './job.ts'
import type { RunOptions, Started } from './run.ts'

/** What it needs of a response: express, node:http and what resembles them have it. */
export interface ResponseLike {
  statusCode: number
  readonly headersSent: boolean
  readonly setHeader: (name: string, value: string) => unknown
  readonly end: (body?: string) => unknown
}

/** What a handler knows of a request whose type nobody names; annotate the parameter (`(request: Request) => …`) with that of your web framework for all of it. */
export interface RequestLike {
  readonly method: string
  readonly url: string
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly params: Readonly<Record<string, unknown>>
  readonly query: Readonly<Record<string, unknown>>
  /** Whatever a body parser left there. */
  readonly body: unknown
  readonly get: (header: string) => string | undefined
}

export interface MiddlewareOptions<Request> {
  /** `accepted` (the default): answer 202 with the job's address at once and let it run. `result`: answer when it has ended. */
  readonly respond?: 'accepted' | 'result'
  /** The job's id, so that a repeated request finds the job of the first. */
  readonly id?: (request: Request) => string | undefined
  readonly attributes?: (request: Request) => RunOptions['attributes']
  readonly expectedSeconds?: number
}

export type Handler<Request, Response> = (job: Job, request: Request, response: Response) => unknown
export type Middleware<Request, Response> = (request: Request, response: Response, next: (error?: unknown) => void) => void

interface MiddlewareSetting {
  readonly start: <Result>(label: string, run: (job: Job) => Result | Promise<Result>, options: RunOptions) => Promise<Started<Result>>
  readonly addressOf: (id: string) => string
}

const send = (response: ResponseLike, status: number, body: unknown, location: string): void => {
  if (response.headersSent) return
  response.statusCode = status
  response.setHeader('Location', location)
  response.setHeader('Content-Type', 'application/json; charset=utf-8')
  response.end(JSON.stringify(body ?? null))
}

const resultOf = (outcome: unknown): unknown => (outcome as { readonly completed?: { readonly result?: unknown } } | undefined)?.completed?.result

export const createMiddleware =
  ({ start, addressOf }: MiddlewareSetting) =>
  <Request = RequestLike, Response extends ResponseLike = ResponseLike>(
    label: string | ((request: Request) => string),
    handler: Handler<Request, Response>,
    { respond = 'accepted', id, attributes, expectedSeconds }: MiddlewareOptions<Request> = {},
  ): Middleware<Request, Response> => {
    const serve = async (request: Request, response: Response): Promise<void> => {
      const options: RunOptions = { id: id?.(request), attributes: attributes?.(request), expectedSeconds }
      const { job, result } = await start(typeof label === 'string' ? label : label(request), (started) => handler(started, request, response), options)
      const location = addressOf(job.id)
      if (respond === 'accepted') send(response, 202, { id: job.id, location }, location)
      else send(response, 200, await result, location)
    }
    const answerRepeat = (thrown: unknown, response: Response): boolean => {
      if (!(thrown instanceof AlreadySettled || thrown instanceof AlreadyRunning)) return false
      const location = addressOf(thrown.job)
      if (respond === 'accepted') send(response, 202, { id: thrown.job, location }, location)
      else if (thrown instanceof AlreadySettled && thrown.state === 'completed') send(response, 200, resultOf(thrown.outcome), location)
      else return false
      return true
    }
    return (request, response, next) => {
      serve(request, response).catch((thrown: unknown) => {
        if (!answerRepeat(thrown, response)) next(thrown)
      })
    }
  }
