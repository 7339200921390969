// The hosts of a test: a network, a store, and Stint servers over it, each in a container that can be paused, killed and cut off; all gone when the stage is closed.
import { createServer, type AddressInfo } from 'node:net'
import { GenericContainer, getContainerRuntimeClient, Network, Wait, type StartedNetwork, type StartedTestContainer } from 'testcontainers'
import { makeImage, removeImage } from './image.ts'

const STINT_PORT = 7070
const STORE_PORT = 2113
const STORE = 'store'
/** For a container to start and say that it listens. */
const START_MS = 60_000
const LINES_KEPT = 400

/** One server of Stint on a host of its own. */
export interface Host {
  readonly name: string
  /** From this machine. */
  readonly url: string
  /** Every process of it stands still, and its connections stay. */
  readonly pause: () => Promise<void>
  readonly unpause: () => Promise<void>
  /** SIGKILL to all of it. */
  readonly kill: () => Promise<void>
  /** Starts it again, with the directory that it had. */
  readonly start: () => Promise<void>
  /** Neither the store nor the other servers are reached any more; it runs on, and callers reach it. */
  readonly cutOffInside: () => Promise<void>
  readonly reconnectInside: () => Promise<void>
  /** Nobody reaches it, and it reaches nobody. */
  readonly cutOff: () => Promise<void>
  readonly reconnect: () => Promise<void>
  /** What it has said of late, in lines. */
  readonly said: () => Promise<readonly string[]>
}

export interface Stage {
  readonly hosts: readonly Host[]
  /** Of the store, from this machine. */
  readonly connectionString: string
  /** An administrator's. */
  readonly token: string
  /** Starts one more server, with an empty directory. */
  readonly add: (name: string) => Promise<Host>
  readonly close: () => Promise<void>
}

export interface StageOptions {
  /** Of the servers. */
  readonly names: readonly string[]
  /** A `queue.yaml` by its app. */
  readonly queues: Readonly<Record<string, string>>
  /** A server of EventStoreDB that this machine and its containers reach, with an empty log; otherwise the double, in a container. */
  readonly store?: string | undefined
}

/** A port of the loopback that was free a moment ago: a container that is started again must be where it was. */
const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as AddressInfo
      server.close(() => resolve(port))
    })
  })

interface Surroundings extends Pick<StageOptions, 'queues'> {
  readonly image: string
  readonly network: StartedNetwork
  /** From a container. */
  readonly connectionString: string
}

const container = ({ image, network }: Pick<Surroundings, 'image' | 'network'>, name: string): GenericContainer =>
  new GenericContainer(image)
    .withNetwork(network)
    .withNetworkAliases(name)
    .withStartupTimeout(START_MS)
    .withWaitStrategy(Wait.forLogMessage(/^listening/m))

/** What a container has said: pieces of both outputs, each behind eight bytes, the last four of which are its length. */
const linesOf = (pieces: Buffer): readonly string[] => {
  let text = ''
  for (let at = 0; at + 8 <= pieces.length;) {
    const length = pieces.readUInt32BE(at + 4)
    text += pieces.toString('utf8', at + 8, at + 8 + length)
    at += 8 + length
  }
  return text.split('\n')
}

/** Where a machine has a lot to do, older kernels do not always get all processes to stand still at once; then none does, and it can be tried again. */
const PAUSES_MAX = 20
const paused = async (pause: () => Promise<void>): Promise<void> => {
  for (let tried = 1; ; tried += 1) {
    try {
      return await pause()
    } catch (cause) {
      if (tried === PAUSES_MAX || !String(cause).includes('unable to freeze')) throw cause
    }
  }
}

interface StartedHost {
  readonly host: Host
  readonly container: StartedTestContainer
}

const startHost = async (surroundings: Surroundings, name: string): Promise<StartedHost> => {
  const { network, connectionString, queues } = surroundings
  const port = await freePort()
  const settings = {
    host: '0.0.0.0',
    port: STINT_PORT,
    data: '/data',
    config: '/config',
    store: connectionString,
    server: name,
    advertise: `http://${name}:${STINT_PORT}`,
    auth: 'tokens',
  }
  const running = await container(surroundings, name)
    .withExposedPorts({ container: STINT_PORT, host: port })
    .withCopyContentToContainer(Object.entries(queues).map(([app, content]) => ({ content, target: `/config/apps/${app}/queue.yaml` })))
    .withCommand(['bin/stint.js', 'serve', ...Object.entries(settings).flatMap(([setting, value]) => [`--${setting}`, String(value)])])
    .start()
  const { container: containers } = await getContainerRuntimeClient()
  const there = containers.dockerode.getContainer(running.getId())
  // One network that the store and the servers are in, and the engine's own, over which ports are reached from this machine.
  const inside = containers.dockerode.getNetwork(network.getId())
  const outside = containers.dockerode.getNetwork('bridge')
  const cutOffInside = (): Promise<void> => inside.disconnect({ Container: there.id })
  const reconnectInside = (): Promise<void> => inside.connect({ Container: there.id, EndpointConfig: { Aliases: [name] } })
  const host: Host = {
    name,
    url: `http://${running.getHost()}:${port}`,
    pause: () => paused(() => there.pause()),
    unpause: () => there.unpause(),
    kill: () => there.kill({ signal: 'SIGKILL' }),
    start: () => there.start(),
    cutOffInside,
    reconnectInside,
    cutOff: async () => {
      await cutOffInside()
      await outside.disconnect({ Container: there.id })
    },
    reconnect: async () => {
      await outside.connect({ Container: there.id })
      await reconnectInside()
    },
    said: async () => linesOf(await there.logs({ stdout: true, stderr: true, tail: LINES_KEPT })),
  }
  return { host, container: running }
}

/** Starts the store, then the servers one after another. What a failure leaves is taken away. */
export const openStage = async ({ names, queues, store }: StageOptions): Promise<Stage> => {
  const image = `stint-hosts:${process.pid}`
  const closing: (() => Promise<unknown>)[] = []
  const close = async (): Promise<void> => {
    for (const each of closing.splice(0).toReversed()) await each()
  }
  try {
    await makeImage(image)
    closing.push(() => removeImage(image))
    const network = await new Network().start()
    closing.push(() => network.stop())
    let [outside, inside] = [store ?? '', store ?? '']
    if (store === undefined) {
      const double = await container({ image, network }, STORE)
        .withExposedPorts(STORE_PORT)
        .withCommand(['test/hosts/programs/store.ts', String(STORE_PORT)])
        .start()
      closing.push(() => double.stop({ timeout: 0 }))
      outside = `esdb://${double.getHost()}:${double.getMappedPort(STORE_PORT)}?tls=false`
      inside = `esdb://${STORE}:${STORE_PORT}?tls=false`
    }
    const add = async (name: string): Promise<Host> => {
      const started = await startHost({ image, network, connectionString: inside, queues }, name)
      closing.push(() => started.container.stop({ timeout: 0 }))
      return started.host
    }
    const hosts: Host[] = []
    for (const name of names) hosts.push(await add(name))
    const said = (await Promise.all(hosts.map((host) => host.said()))).flat()
    const token = said.map((line) => /^token (\S+)$/.exec(line)?.[1]).find((each) => each !== undefined)
    if (token === undefined) throw new Error('No server has made a token: is the log of the store empty?')
    return { hosts, connectionString: outside, token, add, close }
  } catch (cause) {
    await close()
    throw cause
  }
}
