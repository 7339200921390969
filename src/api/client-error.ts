// Answers what is not even HTTP: such bytes never become a request, so the problem is written to the socket itself.
import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { problem, problemDocument, statusOf, type Problem } from './problem.ts'

const problemFor = (code: string | undefined): Problem => {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return problem('headers-too-large')
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return problem('request-timeout')
    default:
      return problem('invalid', 'This is not HTTP as it should be.')
  }
}

/** For the `clientError` event: answers with a problem where the connection still takes one, and closes it. */
export const answerClientError = (error: NodeJS.ErrnoException, socket: Duplex): void => {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  const refused = problemFor(error.code)
  const body = JSON.stringify(problemDocument(refused))
  const status = statusOf(refused)
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`,
    'Content-Type: application/problem+json',
    `Content-Length: ${Buffer.byteLength(body)}`,
    'X-Content-Type-Options: nosniff',
    'Cache-Control: no-store',
    'Connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}
