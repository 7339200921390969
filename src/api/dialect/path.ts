// Finds the method of a request: by its path, and by its verb or the one that a header puts in its place.
import type { IncomingMessage } from 'node:http'
import { pathOf } from '../request.ts'
import { BASE_PATH, methodNames, methods, type Method, type MethodName } from './methods.ts'

export interface Place {
  readonly project: string
  readonly taskqueue: string
  readonly task: string
}

export interface Found {
  readonly name: MethodName
  readonly method: Method
  readonly place: Place
}

/** Nothing is at this path · something is, but not for this verb · it cannot be decoded. */
export type Missed = { readonly missed: 'path' | 'encoding' } | { readonly missed: 'verb'; readonly allow: readonly string[] }

const templates = methodNames.map((name) => ({ name, method: methods[name] as Method, segments: methods[name].path.split('/') }))

const fits = (segments: readonly string[], path: readonly string[]): boolean =>
  segments.length === path.length && segments.every((segment, index) => (segment.startsWith('{') ? path[index] !== '' : path[index] === segment))

/** Clients that cannot send PATCH or DELETE send POST and say so; nothing else is overridden, so that no header makes a GET write. */
const verbOf = ({ method = 'GET', headers }: IncomingMessage): string => {
  const override = headers['x-http-method-override'] ?? headers['x-http-method']
  if (method === 'HEAD') return 'GET'
  return method === 'POST' && typeof override === 'string' ? override.trim().toUpperCase() : method
}

const decoded = (segments: readonly string[], path: readonly string[]): Place | undefined => {
  const place = { project: '', taskqueue: '', task: '' }
  try {
    for (const [index, segment] of segments.entries()) if (segment.startsWith('{')) place[segment.slice(1, -1) as keyof Place] = decodeURIComponent(path[index] ?? '')
    return place
  } catch {
    return undefined
  }
}

export const findMethod = (req: IncomingMessage): Found | Missed => {
  const path = pathOf(req.url ?? '')
    .slice(BASE_PATH.length)
    .split('/')
  const there = templates.filter(({ segments }) => fits(segments, path))
  if (there.length === 0) return { missed: 'path' }
  const verb = verbOf(req)
  const template = there.find(({ method }) => method.httpMethod === verb)
  if (template === undefined) return { missed: 'verb', allow: [...new Set(there.map(({ method }) => method.httpMethod))] }
  const place = decoded(template.segments, path)
  return place === undefined ? { missed: 'encoding' } : { name: template.name, method: template.method, place }
}
