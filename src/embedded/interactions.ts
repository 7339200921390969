// How a client lets go of a reply that is kept for it: `DELETE <interactions>/<id>`, said as often as it likes.
import type { Request, RequestHandler, Response } from 'express'
import type { ContractStore } from './contract-store.ts'
import { idOf } from './idempotency-key.ts'
import { problemOf, type Problem } from './problems.ts'

/** A handler to be mounted; without `caller` nobody can be told from anybody, and nothing is released. */
export const interactionsOf = (
  store: () => Promise<ContractStore>,
  caller: ((req: Request) => string | Promise<string>) | undefined,
  refuse: (problem: Problem, req: Request, res: Response) => void,
): RequestHandler => {
  const release = async (key: string, req: Request, res: Response): Promise<void> => {
    if (caller === undefined) throw new Error('exactlyOnce: `interactions` needs `caller`, because only its caller may release a reply')
    const answer = await (await store()).release({ caller: await caller(req), id: idOf(key) })
    switch (answer) {
      case 'released':
        res.statusCode = 204
        res.end()
        return
      case 'pending':
        return refuse(problemOf('pending', 409, 'There is no reply to release yet.', [['Retry-After', '1']]), req, res)
      case 'not-found':
        return refuse(problemOf('not-found', 404, 'No request of yours has this id.'), req, res)
    }
    const { code, status, detail } = answer
    refuse(problemOf(code, status, detail), req, res)
  }
  return (req, res, next) => {
    const named = /^\/([^/]+)$/.exec(req.path)?.[1]
    if (named === undefined) return next()
    if (req.method !== 'DELETE') return refuse(problemOf('method-not-allowed', 405, 'A reply can only be released here, by DELETE.', [['Allow', 'DELETE']]), req, res)
    let key: string
    try {
      key = decodeURIComponent(named)
    } catch {
      return refuse(problemOf('not-found', 404, 'No request of yours has this id.'), req, res)
    }
    release(key, req, res).catch(next)
  }
}
