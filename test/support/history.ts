// Histories of work items, written down shortly: a type and its data for each event.
import type { HistoryEvent } from '../../src/client/index.ts'

export const history = (...events: readonly (readonly [type: string, data?: object])[]): readonly HistoryEvent[] =>
  events.map(([type, data = {}], revision) => ({ id: `event-${revision}`, position: `log.${revision}`, revision, type, v: 1, time: '2026-01-01T00:00:00.000Z', data }))
