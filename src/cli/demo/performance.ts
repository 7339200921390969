// One performance of the play: Stint takes its seat, the acts are played one after another on it, and in the end its log is proved.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { connect, type Stint } from '../../client/index.ts'
import type { Context } from '../context.ts'
import type { Act, Claim, Play, Principal } from './act.ts'
import type { Nursery } from './children.ts'
import type { Claims } from './claims.ts'
import { verify } from './evidence.ts'
import type { Stage } from './stage.ts'
import { seatStint, type StintSeat } from './stint-seat.ts'

/** An act and its place in the whole play, from 1. */
export interface Numbered {
  readonly number: number
  readonly act: Act
}

export interface Performance {
  readonly context: Context
  readonly nursery: Nursery
  readonly claims: Claims
  readonly acts: readonly Numbered[]
  readonly openStage: () => Stage
  /** What is worked on. */
  readonly root: string
  /** Where the processes write. */
  readonly directory: string
  readonly isFast: boolean
  readonly seconds: number | undefined
  readonly interrupted: AbortSignal
}

const BREATH_MS = { usual: 2_000, fast: 500 } as const

const say =
  ({ context }: Performance) =>
  (line = ''): void =>
    context.out(line)

/** The queue files of all acts, where Stint looks for them at its start. */
const writeQueueFiles = ({ acts, directory }: Performance): void => {
  mkdirSync(join(directory, 'config', 'apps'), { recursive: true })
  for (const { act } of acts) {
    if (act.queueFiles === undefined) continue
    const { app, queues, settings } = act.queueFiles
    const folder = join(directory, 'config', 'apps', app)
    mkdirSync(folder)
    writeFileSync(join(folder, 'queue.yaml'), queues)
    writeFileSync(join(folder, 'stint-queue.yaml'), settings)
  }
}

const keepToken = (directory: string, token: string): string => {
  const file = join(directory, 'admin.token')
  writeFileSync(file, token, { mode: 0o600 })
  return file
}

const introduce = (performance: Performance, stint: StintSeat): void => {
  const { paint } = performance.context
  const tell = say(performance)
  tell(paint('bold', 'Stint takes in work, hands it out, watches it, and can prove afterwards what happened.'))
  tell()
  tell(`  ${'Stint'.padEnd(15)}${stint.url.padEnd(23)}${paint('dim', `pid ${stint.child().pid}`)}`)
  tell()
  tell(`Stint keeps its log in ${stint.data}`)
}

const setting = (performance: Performance, stint: StintSeat, admin: Stint): Omit<Play, 'directory' | 'sceneTitle'> => {
  const { context, nursery, claims, openStage, root, directory, isFast, seconds, interrupted } = performance
  const tokenFor = async ({ name, email, role }: Principal): Promise<string> => (await admin.tokens.add({ name, email, roles: [role] })).token
  return {
    ...{ context, world: context.world, nursery, stint, admin, tokenFor, claims, openStage, root, isFast, seconds, interrupted },
    adminTokenFile: keepToken(directory, stint.adminToken),
    say: say(performance),
    breathMs: isFast ? BREATH_MS.fast : BREATH_MS.usual,
  }
}

const checkAll = ({ context, claims, ...performance }: Performance, heading: string, proven: readonly Claim[]): void => {
  const tell = say({ context, claims, ...performance })
  tell()
  tell(context.paint('bold', heading))
  for (const { claim, isTrue, seen } of proven) claims.check(claim, isTrue, seen)
}

const performAct = async (performance: Performance, common: ReturnType<typeof setting>, { number, act }: Numbered): Promise<void> => {
  const { context, acts, directory } = performance
  const tell = say(performance)
  tell()
  tell(context.paint('bold', `Act ${number} · ${act.title}`))
  for (const line of act.shows) tell(line)
  tell()
  const own = join(directory, `act-${number}`)
  mkdirSync(own)
  const sceneTitle = (scene: number, of: number, text: string): string => `Act ${number}, scene ${scene} of ${of} · ${text}`
  const proven = await act.perform({ ...common, directory: own, sceneTitle })
  checkAll(performance, acts.length === 1 ? 'The proof' : `The proof of act ${number}`, proven)
}

/** Plays everything; rejects when the cast fails or `interrupted` aborts. The caller ends whoever is left. */
export const perform = async (performance: Performance): Promise<void> => {
  const { nursery, context, acts, directory } = performance
  writeQueueFiles(performance)
  const seat = await seatStint(nursery, directory)
  introduce(performance, seat)
  {
    await using admin = connect({ url: seat.url, token: seat.adminToken, world: context.world })
    const common = setting(performance, seat, admin)
    for (const act of acts) await performAct(performance, common, act)
  }
  await seat.stop()
  const { isSound, lines } = await verify(nursery, seat)
  const heading = acts.length === 1 ? 'The log' : 'The log of all acts'
  checkAll(performance, heading, [{ claim: 'The log is whole, and its replay gives what Stint showed.', isTrue: isSound, seen: 'says `stint verify`' }])
  for (const line of lines) say(performance)(`  ${context.paint('dim', line)}`)
}
