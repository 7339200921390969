// Queues of tests, as their files would describe them.
import { DEFAULT_STINT_SETTINGS, queueKey, type QueueConfig, type StintSettings } from '../../src/domain/queue/config.ts'
import type { TestEngine } from './engine.ts'
import { right } from './engine.ts'

type Given = Partial<Omit<QueueConfig, 'app' | 'queue' | 'stint'>> & { readonly stint?: Partial<StintSettings> }

export const queueConfig = (app: string, queue: string, { stint, ...given }: Given = {}): QueueConfig => ({
  app,
  queue,
  mode: 'pull',
  users: [],
  writers: [],
  ...given,
  stint: { ...DEFAULT_STINT_SETTINGS, ...stint },
})

/** Puts these queues in force beside those that are, as a changed file does. */
export const configure = async ({ engine, world }: Pick<TestEngine, 'engine' | 'world'>, ...configs: readonly QueueConfig[]): Promise<void> => {
  const changed = new Set(configs.map(queueKey))
  const kept = engine.queues.list().flatMap(({ key, config, status, isConfigured }) => (status === 'open' && isConfigured && !changed.has(key) ? [config] : []))
  right(await engine.queues.apply([...kept, ...configs], 'change', { subject: 'files', actor: 'files', commandId: world.uuid() }))
}

/** Takes a queue out of the files. */
export const unconfigure = async ({ engine, world }: Pick<TestEngine, 'engine' | 'world'>, key: string): Promise<void> => {
  const kept = engine.queues.list().flatMap((view) => (view.status === 'open' && view.isConfigured && view.key !== key ? [view.config] : []))
  right(await engine.queues.apply(kept, 'change', { subject: 'files', actor: 'files', commandId: world.uuid() }))
}
