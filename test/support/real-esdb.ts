// A real EventStoreDB or KurrentDB for tests: the one that STINT_TEST_ESDB names, else one in a container, where there is an engine and the image can be had.
import { existsSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pause, realWorld } from '../../src/world.ts'

export type RealEsdb = { readonly connectionString: string; readonly what: string; readonly stop: () => Promise<unknown> } | { readonly missing: string }

/** Another image: STINT_TEST_ESDB_IMAGE. */
const IMAGE = 'docker.io/eventstore/eventstore:23.10.1-bookworm-slim'
/** For the image to come and the server to start. */
const PATIENCE_MS = 180_000

const hasEngine = (): boolean =>
  process.env['DOCKER_HOST'] !== undefined ||
  ['/var/run/docker.sock', join(homedir(), '.docker/run/docker.sock'), join(process.env['XDG_RUNTIME_DIR'] ?? '', 'docker.sock')].some(existsSync)

const inContainer = async (image: string): Promise<RealEsdb> => {
  const { GenericContainer, Wait } = await import('testcontainers')
  const container = await new GenericContainer(image)
    .withEnvironment({
      EVENTSTORE_INSECURE: 'true',
      EVENTSTORE_MEM_DB: 'true',
      EVENTSTORE_CLUSTER_SIZE: '1',
      EVENTSTORE_RUN_PROJECTIONS: 'None',
      EVENTSTORE_TELEMETRY_OPTOUT: 'true',
    })
    .withExposedPorts(2113)
    .withWaitStrategy(Wait.forHttp('/health/live', 2113).forStatusCode(204))
    .withStartupTimeout(PATIENCE_MS)
    .start()
  const connectionString = `esdb://${container.getHost()}:${container.getMappedPort(2113)}?tls=false`
  return { connectionString, what: image, stop: () => container.stop() }
}

/** Finds one, or says why there is none. */
export const realEsdb = async (): Promise<RealEsdb> => {
  const named = process.env['STINT_TEST_ESDB']
  if (named !== undefined && named !== '') return { connectionString: named, what: 'STINT_TEST_ESDB', stop: async () => undefined }
  if (!hasEngine()) return { missing: 'no real EventStoreDB: STINT_TEST_ESDB is not set, and no container engine is running' }
  const image = process.env['STINT_TEST_ESDB_IMAGE'] ?? IMAGE
  const late = new AbortController()
  const tooLate = pause(realWorld, PATIENCE_MS, late.signal).then((): RealEsdb => ({ missing: `no real EventStoreDB: ${image} did not start within ${PATIENCE_MS / 1_000} s` }))
  const started = inContainer(image).catch((error: unknown): RealEsdb => ({ missing: `no real EventStoreDB: ${image} could not be started: ${String(error)}` }))
  const found = await Promise.race([started, tooLate])
  late.abort()
  return found
}
