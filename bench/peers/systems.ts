// The systems that are compared, by the names that `--only` knows. Another one is a file in adapters/ and a line here.
import type { Adapter } from './adapter.ts'
import { bullmq } from './adapters/bullmq.ts'
import { dbos } from './adapters/dbos.ts'
import { graphileWorker } from './adapters/graphile-worker.ts'
import { pgBoss } from './adapters/pg-boss.ts'
import { restate } from './adapters/restate.ts'
import { stint } from './adapters/stint.ts'

export const systems = {
  stint,
  'pg-boss': pgBoss(false),
  'pg-boss-notify': pgBoss(true),
  'graphile-worker': graphileWorker,
  'bullmq-always': bullmq('always'),
  'bullmq-everysec': bullmq('everysec'),
  dbos,
  restate,
} as const satisfies Readonly<Record<string, Adapter>>

export type SystemName = keyof typeof systems

export const systemNames = Object.keys(systems) as readonly SystemName[]

/** The one that the others stand beside. */
export const OURS: SystemName = 'stint'

export const adapterOf = (name: SystemName): Adapter => systems[name]
