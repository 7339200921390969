// What single commands cost over HTTP: registrations, reports and task inserts, with one caller and with 64, each durable before it is answered.
import { closedLoop, httpClient, load, rounded, startServer, temporaryDirectory, type Row } from './measure.ts'

const SECONDS = 3
const CALLERS = [1, 64] as const

export const measureRequests = async (): Promise<readonly Row[]> => {
  const { directory, remove } = await temporaryDirectory()
  const server = await startServer(directory)
  const rows: Row[] = []
  try {
    for (const callers of CALLERS) {
      const client = httpClient(server.url, callers)
      let made = 0
      const expect = async (status: number, answer: ReturnType<typeof client.call>): Promise<void> => {
        const got = await answer
        if (got.status !== status) throw new Error(`Expected ${status}, got ${got.status}: ${got.body}`)
      }
      const register = (): Promise<void> => expect(201, client.call('POST', '/v1/jobs', { id: `job-${callers}-${(made += 1)}`, service: 'bench', server: 'bench-1', instance: 'bench', reportEverySeconds: 600 }))
      const insert = (): Promise<void> => expect(201, client.call('POST', '/v1/queues/bench/work/tasks', { id: `task-${callers}-${(made += 1)}`, payload: { to: 'someone@example.com', subject: 'x'.repeat(120) } }))
      await closedLoop(callers, 1, register)
      for (const [what, call] of [
        ['job registrations', register],
        ['task inserts', insert],
      ] as const) {
        const measured = await closedLoop(callers, SECONDS, call)
        rows.push({ row: `${what}, ${callers} caller${callers === 1 ? '' : 's'}`, value: rounded(measured.perSecond, 0), unit: 'requests/s', more: { 'p50 ms': rounded(measured.p50, 2), 'p99 ms': rounded(measured.p99, 2) }, load: load() })
      }
      client.close()
    }
    return rows
  } finally {
    await server.stop('SIGKILL')
    await remove()
  }
}
