// Writes answers of the dialect: JSON on one line or many, zipped where the client takes that and it is worth it.
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { Reply } from '../answer.ts'
import { errorBody, type DialectError } from './refusal.ts'

/** Characters below which zipping costs more than it saves. */
const ZIPPED_FROM = 4_096
/** Fast rather than small: payloads are often zipped already. */
const LEVEL = 1

const JSON_TYPE = ['Content-Type', 'application/json; charset=UTF-8']

const zip = promisify(gzip)

const CODING = /^\s*(?:gzip|\*)\s*(?:;\s*q=([\d.]{1,5}))?\s*$/i

const takesGzip = (accepted: string | string[] | undefined): boolean =>
  String(accepted ?? '')
    .split(',')
    .some((coding) => {
      const [found, weight = '1'] = CODING.exec(coding) ?? []
      return found !== undefined && Number(weight) > 0
    })

interface Manner {
  readonly isPretty?: boolean
  /** The Accept-Encoding of the request. */
  readonly accepted?: string | string[] | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

export const jsonAnswer = async (status: number, value: unknown, { isPretty = false, accepted, headers = {} }: Manner = {}): Promise<Reply> => {
  const text = JSON.stringify(value, undefined, isPretty ? 1 : undefined)
  const all = [...JSON_TYPE, ...Object.entries(headers).flat()]
  if (text.length < ZIPPED_FROM || !takesGzip(accepted)) return { status, headers: all, body: text }
  const zipped = await zip(text, { level: LEVEL })
  return {
    status,
    headers: [...all, 'Content-Encoding', 'gzip', 'Vary', 'Accept-Encoding', 'Content-Length', String(zipped.length)],
    stream: async (res) => void res.end(zipped),
  }
}

export const errorAnswer = (error: DialectError): Promise<Reply> => jsonAnswer(error.status, errorBody(error), { headers: error.headers })
