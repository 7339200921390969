// A stream of server-sent events as a test reads it: as EventSource does, one long answer.
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'

export interface Reader {
  /** Resolves with everything read so far as soon as it holds `wanted`. */
  readonly until: (wanted: string | RegExp) => Promise<string>
  readonly text: () => string
  readonly ended: Promise<void>
  readonly close: () => void
  readonly response: IncomingMessage
}

export const readStream = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<Reader> => {
  const req = request(url, { headers: { Accept: 'text/event-stream', ...headers }, agent: false })
  req.end()
  const [response] = (await once(req, 'response')) as [IncomingMessage]
  const chunks: string[] = []
  const text = (): string => chunks.join('')
  let look = (_news: string): void => undefined
  response.setEncoding('utf8')
  response.on('data', (chunk: string) => {
    const end = (chunks.at(-1) ?? '').slice(-200)
    chunks.push(chunk)
    look(end + chunk)
  })
  req.on('error', () => undefined)
  return {
    text,
    until: (wanted) =>
      new Promise((resolve) => {
        // A text is looked for in what is new, so that long streams are not read again and again.
        look = (news) => {
          if (typeof wanted === 'string' ? news.includes(wanted) : wanted.test(text())) resolve(text())
        }
        look(text())
      }),
    ended: new Promise((resolve) => response.once('close', () => resolve())),
    close: () => req.destroy(),
    response,
  }
}
