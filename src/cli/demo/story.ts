// The story of the job proxies in five scenes. Each scene does something to the cast, waits until what must follow is seen, and checks what it claims.
import { StintError, type JobProxy, type Stint } from '../../client/index.ts'
import { pause, type World } from '../../world.ts'
import { formatDuration } from '../duration.ts'
import { isSettled } from '../look.ts'
import { shellWord } from '../terminal/text.ts'
import type { Cast, JobServerSeat } from './cast.ts'
import type { Claims } from './claims.ts'
import type { Feeder } from './feeder.ts'
import { missingFromLog } from './evidence.ts'
import type { Lookout } from './lookout.ts'
import type { Stage } from './stage.ts'
import type { StintSeat } from './stint-seat.ts'

export interface Telling {
  readonly world: World
  readonly stint: Stint
  readonly seat: StintSeat
  readonly cast: Cast
  readonly stage: Stage
  readonly lookout: Lookout
  readonly feeder: Feeder
  readonly claims: Claims
  /** Milliseconds that a viewer gets to look at something before the story goes on. */
  readonly breathMs: number
  readonly interrupted: AbortSignal
  /** The title of the scene with this number. */
  readonly title: (number: number, text: string) => string
  /** Holds the administrator's token, for the command that a viewer may run. */
  readonly adminTokenFile: string
}

export const SCENES = 5

const running = (jobs: readonly JobProxy[], server?: string): readonly JobProxy[] =>
  jobs.filter((job) => job.state === 'running' && job.phase === 'index' && (server === undefined || job.server === server))

const breath = ({ world, breathMs, interrupted }: Telling): Promise<void> => pause(world, breathMs, interrupted)

const plural = (count: number, word: string): string => `${count.toLocaleString('en')} ${word}${count === 1 ? '' : 's'}`
const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** Scene 1: requests become jobs on all servers, seen in one place. */
export const jobsComeIn = async (telling: Telling): Promise<void> => {
  const { stage, lookout, cast, claims } = telling
  stage.scene({
    title: telling.title(1, 'Requests become jobs'),
    look: ['The load balancer gives each request to the next job server and forgets it.', 'Look: every job, on every server, in one place, with its phase and progress.'],
  })
  const perServer = (): readonly number[] => cast.servers.map((server) => lookout.jobs().filter((job) => job.server === server.name).length)
  await lookout.until('jobs on every server', () => perServer().every((count) => count >= 2) && running(lookout.jobs()).length >= 3)
  await breath(telling)
  await breath(telling)
  const counts = cast.servers.map(({ name }, index) => `${perServer()[index]} on ${name}`).join(', ')
  claims.check(
    'Every request became a job that Stint shows.',
    perServer().every((count) => count >= 2),
    counts,
  )
}

/** How long somebody may think before the story goes on by itself. */
const HUMAN_MS = 10_000

/** Resolves when somebody presses the key, aborts it from another terminal, it ends by itself, or nobody did anything. */
const decision = async ({ stage, world, lookout, interrupted }: Telling, job: JobProxy): Promise<void> => {
  if (!stage.hasKeys) return
  const decided = new AbortController()
  interrupted.addEventListener('abort', () => decided.abort(), { once: true })
  void stage.pressed('a').then(() => decided.abort())
  lookout.onLook(() => {
    const now = lookout.job(job.id)
    if (now === undefined || now.directive === 'abort' || isSettled(now.state)) decided.abort()
  })
  await pause(world, HUMAN_MS, decided.signal)
}

/** A job with much left to do, so that it does not end by itself meanwhile. */
const longest = (jobs: readonly JobProxy[]): JobProxy | undefined => running(jobs).toSorted((a, b) => (a.progress?.fraction ?? 0) - (b.progress?.fraction ?? 0))[0]

const shownPartial = (partial: unknown): string => {
  const { files = 0, bytes = 0, words = 0 } = (partial ?? {}) as { readonly files?: number; readonly bytes?: number; readonly words?: number }
  return `${plural(files, 'file')}, ${megabytes(bytes)}, ${plural(words, 'word')}`
}

interface Chosen {
  readonly job: JobProxy
  readonly seat: JobServerSeat
}

const choose = async ({ lookout, cast }: Telling): Promise<Chosen> => {
  await lookout.until('a running job', () => longest(lookout.jobs()) !== undefined)
  const job = longest(lookout.jobs())
  const seat = cast.servers.find((server) => server.name === job?.server)
  if (job === undefined || seat === undefined) throw new Error('Expected a running job to have a server.')
  return { job, seat }
}

/** Aborts the job unless somebody else has. Answers how long the wish took to arrive at its server; undefined when the job ended by itself before. */
const abortIt = async ({ stint, world }: Telling, { job, seat }: Chosen): Promise<string | undefined> => {
  const heard = seat.heardAbort(job.id)
  heard.catch(() => undefined)
  const asked = world.monotonic()
  const now = await stint.jobs.show(job.id)
  if (now.directive !== 'abort') {
    try {
      await stint.jobs.abort(job.id, 'the demo wants to see it stop')
    } catch (failure) {
      if (failure instanceof StintError && failure.code === 'settled') return undefined
      throw failure
    }
    await heard
    return `${seat.name} heard of it ${Math.max(1, Math.round(world.monotonic() - asked))} ms after it was asked for`
  }
  await heard
  const { receipt } = await stint.jobs.show(job.id)
  return `${seat.name} had seen it ${Date.parse(receipt?.seenAt ?? '') - Date.parse(receipt?.givenAt ?? '')} ms after it was given`
}

/** Scene 2: one job is aborted by its label; the wish finds the server that has it. */
export const oneIsAborted = async (telling: Telling): Promise<void> => {
  const { stage, lookout, stint, claims } = telling
  for (;;) {
    const chosen = await choose(telling)
    const { id, label = id, server } = chosen.job
    stage.scene({
      title: telling.title(2, 'One job is stopped'),
      look: [`${label} is to be aborted. Whoever sent it cannot know that it runs on ${server}; Stint does.`, 'Look: its line. It can be done from another terminal too:'],
      command: `STINT_TOKEN=$(cat ${shellWord(telling.adminTokenFile)}) npx stint jobs abort --label ${shellWord(label)} --url ${stint.url}`,
    })
    stage.hint(stage.hasKeys ? `Press a to abort ${label} (in ${HUMAN_MS / 1_000} s it happens by itself).` : undefined)
    await decision(telling, chosen.job)
    stage.hint(undefined)
    const how = await abortIt(telling, chosen)
    if (how === undefined) continue
    await lookout.until('the job to end', () => isSettled(lookout.job(id)?.state ?? 'running'))
    const { outcome } = await stint.jobs.show(id)
    const aborted = outcome !== undefined && 'aborted' in outcome ? outcome.aborted : undefined
    claims.check('The abort reached the right server, and the job stopped.', aborted !== undefined, how)
    claims.check('What it had done is kept as its partial result.', aborted?.partial !== undefined, shownPartial(aborted?.partial))
    return breath(telling)
  }
}

const ids = (jobs: readonly JobProxy[]): readonly string[] => jobs.map((job) => job.id)

/** Scene 3: a job server is killed; its jobs are lost, then taken over by its new instance. Answers the jobs that were. */
export const aServerDies = async (telling: Telling): Promise<readonly string[]> => {
  const { stage, lookout, cast, claims, feeder, world } = telling
  const busiest = (): JobServerSeat | undefined => cast.servers.toSorted((a, b) => running(lookout.jobs(), b.name).length - running(lookout.jobs(), a.name).length)[0]
  await lookout.until('a server with running jobs', () => running(lookout.jobs(), busiest()?.name).length > 0)
  const victim = busiest()
  if (victim === undefined) throw new Error('Expected job servers.')
  const { pid } = victim.child()
  const victims = ids(lookout.jobs().filter((job) => job.server === victim.name && !isSettled(job.state)))
  const silence = lookout.jobs()[0]?.silenceSeconds ?? 0
  const killedAt = world.monotonic()
  const sentBefore = feeder.sent().length
  await victim.kill()
  stage.scene({
    title: telling.title(3, 'A job server dies'),
    look: [
      `kill -9 ${pid}: ${victim.name} is gone with ${plural(victims.length, 'job')}. It promised a sign of life; after ${silence} s of silence its jobs count as lost.`,
      'Look: they turn yellow. The load balancer passes the dead server over, so new requests go to the other two.',
    ],
  })
  const lost = (): readonly JobProxy[] => lookout.jobs().filter((job) => victims.includes(job.id) && job.state === 'lost')
  // What it reported with its last breath may have settled one.
  const settled = (): readonly JobProxy[] => lookout.jobs().filter((job) => victims.includes(job.id) && isSettled(job.state))
  await lookout.until('its jobs to be lost', () => lost().length > 0 && lost().length + settled().length === victims.length)
  const lostJobs = ids(lost())
  const lostMs = world.monotonic() - killedAt
  claims.check('Its jobs are shown as lost.', lostJobs.length > 0, `${plural(lostJobs.length, 'job')}, ${formatDuration(lostMs)} after the kill`)
  await breath(telling)
  const elsewhere = feeder
    .sent()
    .slice(sentBefore)
    .filter(({ job }) => lookout.job(job)?.server !== victim.name)
  await victim.restart()
  stage.scene({
    title: telling.title(3, 'A job server dies, and comes back'),
    look: [
      `A new ${victim.name} (pid ${victim.child().pid}) asks Stint what the old one left behind, takes it over as a second attempt, and goes on from the parts of the index that are on disk.`,
      'Look: the yellow lines run again.',
    ],
  })
  const isTaken = (id: string): boolean => (lookout.job(id)?.attempt ?? 1) > 1 && lookout.job(id)?.state !== 'lost'
  await lookout.until('the lost jobs to be taken over', () => lostJobs.every(isTaken))
  claims.check(
    'Its new instance took all of them over.',
    lostJobs.every(isTaken),
    elsewhere.length > 0 ? `meanwhile ${plural(elsewhere.length, 'request')} went to the others` : '',
  )
  await breath(telling)
  return lostJobs
}

const doneBy = async ({ cast }: Telling): Promise<{ readonly files: number; readonly bytes: number }> => {
  const all = await Promise.all(cast.servers.map((server) => server.done()))
  return { files: all.reduce((sum, { files }) => sum + files, 0), bytes: all.reduce((sum, { bytes }) => sum + bytes, 0) }
}

const WATCHED_EVERY_MS = 250

/** Lets time pass without Stint, for a while and until the job servers have done something, and shows what they do. */
const withoutStint = async (telling: Telling): Promise<{ readonly files: number; readonly bytes: number }> => {
  const { stage, world, breathMs, interrupted } = telling
  const before = await doneBy(telling)
  const began = world.monotonic()
  for (;;) {
    const now = await doneBy(telling)
    const since = { files: now.files - before.files, bytes: now.bytes - before.bytes }
    stage.hint(`Stint is dead for ${formatDuration(world.monotonic() - began)}. Asked directly, the job servers have indexed ${plural(since.files, 'file')} since then.`)
    if (interrupted.aborted || (world.monotonic() - began >= breathMs * 1.5 && since.files > 0)) return since
    await pause(world, WATCHED_EVERY_MS, interrupted)
  }
}

/** Scene 4: Stint itself is killed. The jobs go on; after its restart everything that was acknowledged is there. */
export const stintDies = async (telling: Telling): Promise<void> => {
  const { stage, lookout, seat, claims, feeder, stint, world, cast } = telling
  await lookout.until('running jobs', () => running(lookout.jobs()).length >= 2)
  const { pid } = seat.child()
  await seat.kill()
  const acknowledged = cast.acknowledged()
  const known = ids(lookout.jobs().filter((job) => !isSettled(job.state)))
  stage.scene({
    title: telling.title(4, 'Stint dies'),
    look: [
      `kill -9 ${pid}: Stint itself is gone. The job servers do not wait for it: jobs go on, and requests are still taken.`,
      'Look: the board stands still, the work does not.',
    ],
  })
  const unseen = await feeder.send()
  const since = await withoutStint(telling)
  claims.check('The jobs went on without Stint.', since.files > 0, `${plural(since.files, 'file')}, ${megabytes(since.bytes)}`)
  stage.hint(undefined)
  const began = world.monotonic()
  await seat.restart()
  const backMs = world.monotonic() - began
  const restartedAt = world.now()
  stage.scene({
    title: telling.title(4, 'Stint dies, and comes back'),
    look: [
      `Stint (pid ${seat.child().pid}) read its log and serves again after ${formatDuration(backMs)}.`,
      'Look: the job servers catch up by themselves, and nobody lost a job.',
    ],
  })
  const hasSpoken = (id: string): boolean => {
    const job = lookout.job(id)
    return job !== undefined && (isSettled(job.state) || Date.parse(job.holder?.lastSeenAt ?? '') > restartedAt)
  }
  await lookout.until('the job servers to be heard again', () => !lookout.isBlind() && [...known, unseen.job].every(hasSpoken))
  const missing = await missingFromLog(stint, acknowledged)
  claims.check(
    'Nothing that Stint had acknowledged is lost.',
    missing.length === 0,
    `${plural(acknowledged.length, 'acknowledgement')} of before the kill, ${missing.length} missing`,
  )
  const found = lookout.job(unseen.job)
  claims.check('The request that came while it was dead is a job now.', found !== undefined, `${found?.label} on ${found?.server}`)
  await breath(telling)
}

/** Scene 5: everything comes to its end. */
export const everythingEnds = async ({ stage, lookout, feeder, title }: Telling): Promise<void> => {
  stage.scene({ title: title(5, 'Everything comes to its end'), look: ['The last requests are sent and the last jobs end.', 'Look: nothing is left running, lost or forgotten.'] })
  await feeder.finish()
  const isDone = (): boolean => feeder.sent().every(({ job }) => isSettled(lookout.job(job)?.state ?? 'running'))
  await lookout.until('all jobs to end', isDone, 300_000)
}
