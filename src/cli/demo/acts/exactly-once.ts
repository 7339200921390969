// The act of the exactly-once requests (C): a shop charges cards and sends some requests twice, while Stint is killed each second; a record outside shows each charge once.
import { join } from 'node:path'
import { connect, StintError, type Reply } from '../../../client/index.ts'
import { pause } from '../../../world.ts'
import type { Act, Claim, Play } from '../act.ts'
import { CHARGE, notChargedOnce, readCharges } from '../charges.ts'
import { programOf, type Child } from '../children.ts'
import { goShopping, type Shopper } from '../shopper.ts'
import type { Picture } from '../stage.ts'
import { createWatch } from '../watch.ts'

const SHOP = { name: 'shop', email: 'shop@example.com', role: 'requester' } as const
const TILLS = { name: 'tills', email: 'till@example.com', role: 'worker' } as const
const TILL_NAMES = ['till-1', 'till-2'] as const
const SCENES = 2

const USUAL_SECONDS = 12
const FAST_SECONDS = 4
const EVERY_MS = 60
const KILL_EVERY_MS = 1_000
const LOOK_EVERY_MS = 50

interface Scene {
  readonly shopper: Shopper
  readonly kills: () => number
  readonly charges: string
}

const number = (value: number): string => value.toLocaleString('en')
const givenOf = ({ replies }: Shopper): number => [...replies.values()].reduce((sum, each) => sum + each.length, 0)

const pictureOf = ({ shopper, kills, charges }: Scene): Picture => {
  const sent = `${number(shopper.asked.size)} requests, ${number(shopper.duplicates())} sent twice`
  const charged = `${number(readCharges(charges).length)} charges`
  const given = `${number(givenOf(shopper))} replies`
  const killed = `Stint killed ${kills()} times`
  return { lines: (_size, paint) => [sent, given, charged, paint('yellow', killed)], summary: () => killed }
}

const presentCast = ({ context, say }: Play, tills: readonly Child[]): void => {
  const line = (name: string, pid: number, what: string): void => say(`  ${name.padEnd(15)}${CHARGE.padEnd(23)}${context.paint('dim', `pid ${String(pid).padEnd(9)}${what}`)}`)
  line('shop', process.pid, `${SHOP.email}, may call`)
  for (const till of tills) line(till.name, till.pid, `${TILLS.email}, may work its requests off`)
}

/**
 * Kills Stint each second until it is told to stop, but not before it has given a reply since the last time: on a slow machine nothing would ever come to its end. Stint
 * runs when this resolves.
 */
const keepKilling = async ({ stint, world }: Play, over: AbortSignal, given: () => number, killed: () => void): Promise<void> => {
  while (!over.aborted) {
    const before = given()
    await pause(world, KILL_EVERY_MS, over)
    while (!over.aborted && given() === before) await pause(world, LOOK_EVERY_MS, over)
    if (over.aborted) return
    await stint.kill()
    killed()
    await stint.restart()
  }
}

const sameBytes = ([first, ...more]: readonly Reply[]): boolean =>
  first !== undefined && more.every((reply) => reply.status === first.status && reply.headers.get('location') === first.headers.get('location') && reply.text() === first.text())

const codeOf = async (call: Promise<unknown>): Promise<string> =>
  call.then(
    () => 'a reply',
    (thrown: unknown) => (thrown instanceof StintError ? thrown.code : String(thrown)),
  )

const prove = async ({ admin }: Play, { shopper, kills, charges }: Scene): Promise<readonly Claim[]> => {
  const { asked, replies } = shopper
  const all = [...replies.values()]
  const recorded = readCharges(charges)
  const wrong = notChargedOnce(asked, recorded)
  let completed = 0
  for await (const { state } of admin.requests.each(CHARGE, { limit: 1_000 })) completed += state === 'completed' ? 1 : 0
  return [
    {
      claim: 'Every request was answered, although Stint was killed each second.',
      isTrue: all.length === asked.size && all.flat().every(({ status }) => status === 201) && kills() > 0,
      seen: `${number(asked.size)} requests, ${number(givenOf(shopper))} replies, ${kills()} kills`,
    },
    { claim: 'Every duplicate got the reply of the first, byte for byte.', isTrue: all.every(sameBytes), seen: `${number(shopper.duplicates())} duplicates` },
    {
      claim: 'The card network, which knows nothing of Stint, has each charge once.',
      isTrue: wrong.length === 0,
      seen: `${number(recorded.length)} charges, ${wrong.length} wrong`,
    },
    { claim: 'So says the log of Stint.', isTrue: completed === asked.size, seen: `${number(completed)} completed` },
  ]
}

/** Scene 2: what was released is never carried out again. */
const replyIsReleased = async (play: Play, { shopper, charges }: Scene, token: string): Promise<void> => {
  const before = readCharges(charges).length
  for (const [reply] of shopper.replies.values()) await reply?.release()
  const shop = connect({ url: play.stint.url, token })
  const [id = '', body] = [...shopper.asked][0] ?? []
  const code = await codeOf(shop.requester({ contract: CHARGE }).call(body, { id }))
  await shop.close()
  play.claims.check('A duplicate after the release was refused, and charged nothing.', code === 'released' && readCharges(charges).length === before, `${id}: ${code}`)
}

export const exactlyOnce: Act = {
  title: 'Charged once',
  shows: [
    'A shop sends requests, some of them twice, because it got no answer in time.',
    'Stint is killed each second; every request is carried out once, and every reply is the first.',
  ],
  perform: async (play) => {
    const { nursery, stint, admin, directory, world, interrupted, breathMs } = play
    await admin.contracts.put(CHARGE, { callers: [SHOP.email], workers: [TILLS.email], release: 'required' })
    const [shopToken, tillToken] = [await play.tokenFor(SHOP), await play.tokenFor(TILLS)]
    const charges = join(directory, 'charges.jsonl')
    const tills = TILL_NAMES.map((name) => nursery.start(name, programOf('till'), ['--name', name, '--stint', stint.url, '--charges', charges], { STINT_TOKEN: tillToken }))
    presentCast(play, tills)
    const stage = play.openStage()
    const shop = connect({ url: stint.url, token: shopToken })
    const over = new AbortController()
    const count = Math.ceil(((play.seconds ?? (play.isFast ? FAST_SECONDS : USUAL_SECONDS)) * 1_000) / EVERY_MS)
    stage.scene({
      title: play.sceneTitle(1, SCENES, 'Nobody is charged twice'),
      look: [
        'The shop sends an order each 60 ms, and every other one again within seconds. kill -9 hits Stint each second.',
        'Look: calls wait, restarts pass, and the charges never outnumber the requests.',
      ],
    })
    let kills = 0
    const shopper = goShopping(shop, world, { count, everyMs: EVERY_MS, signal: interrupted })
    const scene: Scene = { shopper, kills: () => kills, charges }
    const watch = createWatch(world, interrupted, () => Promise.resolve())
    watch.onLook(() => stage.draw(pictureOf(scene)))
    const killed = (): void => {
      kills += 1
    }
    const killing = keepKilling(play, over.signal, () => givenOf(shopper), killed)
    await Promise.all([shopper.done.finally(() => over.abort()), killing])
    await pause(world, breathMs, interrupted)
    stage.scene({
      title: play.sceneTitle(2, SCENES, 'What is released stays done'),
      look: ['The shop has booked all replies and releases them. Only what marks them as done stays.'],
    })
    await replyIsReleased(play, scene, shopToken)
    await watch.close()
    stage.close()
    await shop.close()
    await Promise.all(tills.map((till) => till.end('SIGTERM')))
    return prove(play, scene)
  },
}
