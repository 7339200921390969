// The container engine that the hosts run on: the one that is there, else Debian's `dockerd`, started here with directories of its own and gone with this process.
import { execFile, spawn } from 'node:child_process'
import { accessSync, constants, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { createInterface } from 'node:readline'
import { realWorld } from '../../src/world.ts'

export interface ContainerEngine {
  /** `unix:///…` or `tcp://…`, as DOCKER_HOST names it. */
  readonly address: string
  readonly stop: () => Promise<void>
}

export interface NoEngine {
  readonly missing: string
}

const SOCKET = '/var/run/docker.sock'
/** For `dockerd` to listen. */
const START_MS = 60_000
/** For it to stop its containers and end. */
const STOP_MS = 30_000
const LINES_KEPT = 200

const programNamed = (name: string): string | undefined =>
  [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/usr/bin']
    .filter((folder) => folder !== '')
    .map((folder) => join(folder, name))
    .find((file) => {
      try {
        accessSync(file, constants.X_OK)
        return true
      } catch {
        return false
      }
    })

const answers = (socket: string): Promise<boolean> =>
  new Promise((resolve) => {
    const attempt = connect(socket)
    attempt.once('error', () => resolve(false))
    attempt.once('connect', () => {
      attempt.destroy()
      resolve(true)
    })
  })

const removed = (folder: string): Promise<void> =>
  new Promise((resolve) => {
    // What is still mounted there would keep `rm` from it.
    execFile('sh', ['-c', 'umount -R -l "$1"/data/overlay2/*/merged "$1"/exec/netns/* 2>/dev/null', 'sh', folder], () => {
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
      resolve()
    })
  })

/** What `dockerd` complained of last, which is why it ended. */
const complaint = (lines: readonly string[]): string =>
  lines.findLast((line) => /level=(?:error|fatal)|failed to start/i.test(line))?.replace(/^time="[^"]*" level=\w+ msg=/, '') ?? lines.at(-1) ?? 'it said nothing'

const started = (dockerd: string): Promise<ContainerEngine | NoEngine> => {
  const folder = mkdtempSync(join(tmpdir(), 'stint-engine-'))
  const address = `unix://${join(folder, 'docker.sock')}`
  const given = ['--ip', '127.0.0.1', '--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec'), '--pidfile', join(folder, 'dockerd.pid')]
  const command = [dockerd, '--host', address, ...given]
  // Told to end when this process is gone, however it went: no engine and no container outlives a run that was killed.
  const leash = programNamed('setpriv')
  const [program = dockerd, ...args] = leash === undefined ? command : [leash, '--pdeathsig', 'TERM', ...command]
  const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const { promise: ended, resolve: hasEnded } = Promise.withResolvers<void>()
  child.once('close', () => hasEnded())
  child.once('error', () => hasEnded())
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    const cancel = realWorld.timer(STOP_MS, () => child.kill('SIGKILL'))
    await ended
    cancel()
    await removed(folder)
  }

  const lines: string[] = []
  return new Promise((resolve) => {
    const giveUp = (why: string): void => void stop().then(() => resolve({ missing: `no container engine: dockerd could not be started: ${why}` }))
    const cancel = realWorld.timer(START_MS, () => giveUp(`it did not listen within ${START_MS / 1_000} s`))
    void ended.then(() => {
      cancel()
      giveUp(complaint(lines))
    })
    createInterface({ input: child.stderr }).on('line', (line) => {
      lines.push(line)
      if (lines.length > LINES_KEPT) lines.shift()
      if (!line.includes('API listen on')) return
      cancel()
      resolve({ address, stop })
    })
  })
}

/** Finds a container engine or starts one, or says why there is none. What is found is told to `testcontainers` by this process's environment. */
export const containerEngine = async (): Promise<ContainerEngine | NoEngine> => {
  if (process.platform !== 'linux') return { missing: 'no containers of this machine: their image is made of its own program and libraries, which are not those of Linux' }
  // Its reaper is an image to be pulled; what is started here is stopped here.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] = 'true'
  const named = process.env['DOCKER_HOST']
  if (named !== undefined && named !== '') return { address: named, stop: async () => undefined }
  process.env['TESTCONTAINERS_HOST_OVERRIDE'] = '127.0.0.1'
  if (existsSync(SOCKET) && (await answers(SOCKET))) return { address: `unix://${SOCKET}`, stop: async () => undefined }
  const dockerd = programNamed('dockerd')
  if (dockerd === undefined) return { missing: 'no container engine: DOCKER_HOST is not set, none is running, and `dockerd` (Debian: docker.io) is not installed' }
  if (process.getuid?.() !== 0) return { missing: 'no container engine: none is running, and only root can start `dockerd`' }
  const engine = await started(dockerd)
  if ('address' in engine) process.env['DOCKER_HOST'] = engine.address
  return engine
}
