// Events as sentences, for histories and streams that people read. Programs read the event itself (`-o json`).
import type { HistoryEvent } from '../wire/items.ts'
import { formatDuration } from './duration.ts'
import { progressText } from './look.ts'
import type { Column } from './terminal/table.ts'
import type { Colour } from './terminal/text.ts'

type Data = Readonly<Record<string, unknown>>

const textOf = (value: unknown): string => (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? String(value) : (JSON.stringify(value) ?? ''))

const because = (reason: unknown): string => (typeof reason === 'string' && reason !== '' ? `: ${reason}` : '')

const isData = (value: unknown): value is Data => typeof value === 'object' && value !== null && !Array.isArray(value)

const holderName = (holder: unknown): string => (isData(holder) ? textOf(holder['name']) : 'somebody')

const RELEASED: Readonly<Record<string, string>> = { client: 'by its caller', time: 'because its time was over', force: 'by force' }

/** Of an outbox: effects by their place, and the outcome itself. */
const effectsText = (effects: unknown): string =>
  Array.isArray(effects) ? effects.map((effect) => (isData(effect) ? `${textOf(effect['entry'])} ${textOf(effect['outcome'])}` : textOf(effect))).join(', ') : textOf(effects)

const ENDED: Readonly<Record<string, string>> = { cancelled: 'had been cancelled', aborted: 'had been aborted', timedOut: 'had timed out' }

const SENTENCES: Readonly<Record<string, (data: Data) => string>> = {
  JobRegistered: (data) => `registered: ${textOf(data['service'])} on ${textOf(data['server'])}${because(data['label'])}`,
  TaskInserted: (data) => `inserted into ${textOf(data['app'])}/${textOf(data['queue'])}`,
  RequestAccepted: (data) => `accepted for ${textOf(data['caller'])}: ${textOf(data['bytes'])} bytes`,
  OperationDispatched: (data) =>
    data['reportTo'] === undefined ? `dispatched to ${textOf(data['node'])}: ${textOf(data['operation'])}` : `taken from ${textOf(data['reportTo'])}: ${textOf(data['operation'])}`,
  Leased: (data) => `leased to ${holderName(data['holder'])} (lease ${textOf(data['lease'])})`,
  LeaseExtended: (data) => `lease ${textOf(data['lease'])} extended`,
  LeaseReleased: (data) => `given back${data['busy'] === true ? ', busy' : ''}${because(data['reason'])}`,
  LeaseExpired: (data) => `lease ${textOf(data['lease'])} expired`,
  HolderLost: () => 'lost: its holder has been silent for too long',
  HolderFound: () => 'found: its holder is back',
  PhaseEntered: (data) => `phase ${textOf(data['phase'])}`,
  ProgressReported: (data) => progressText(data['progress'] as never) ?? 'progress',
  Paused: () => 'paused',
  Resumed: () => 'resumed',
  DirectiveGiven: (data) => `${textOf(data['by'])} wants it to ${textOf(data['directive'])}${because(data['reason'])}`,
  DirectiveSeen: () => 'its holder has seen the directive',
  DirectiveEnded: (data) => `directive ${textOf(data['resolution'])}${because(data['reason'])}`,
  RetryScheduled: (data) => `failed, to be tried again: ${textOf(data['code'])}${because(data['message'])}`,
  DeadLettered: (data) => `dead letter: ${textOf(data['code'])}${because(data['message'])}`,
  Redriven: (data) => `redriven by ${textOf(data['by'])}`,
  Completed: (data) => {
    if (isData(data['reply'])) return `replied: ${textOf(data['reply']['status'])}, ${textOf(data['reply']['bytes'])} bytes`
    return data['result'] === undefined ? 'completed' : `completed: ${textOf(data['result'])}`
  },
  Failed: (data) => `failed: ${textOf(data['code'])}${because(data['message'])}`,
  Aborted: (data) => `aborted${because(data['reason'])}`,
  Cancelled: (data) => `cancelled by ${textOf(data['by'])}${because(data['reason'])}`,
  TimedOut: (data) => (data['cause'] === 'stalled' ? 'timed out: it made no progress' : 'timed out'),
  LateResultRecorded: () => 'a late result was kept',
  EffectsCarriedOut: (data) => `effects carried out: ${effectsText(data['effects'])}`,
  Erased: (data) =>
    `erased by ${textOf(data['eraser'])}${because(data['reason'])}; it was a ${textOf(data['kind']).replace('-', ' ')} that ${ENDED[textOf(data['end'])] ?? `had ${textOf(data['end'])}`}`,
  ReplyReleased: (data) => `reply released ${RELEASED[textOf(data['how'])] ?? textOf(data['how'])}`,
}

/** The types of events that there are. */
export const eventTypes: readonly string[] = Object.keys(SENTENCES)

/** What happened, in a few words; of an event that this version has no words for, its data. */
export const sentenceOf = (type: string, data: unknown): string => {
  if (!isData(data)) return data === null ? 'erased' : textOf(data)
  return SENTENCES[type]?.(data) ?? textOf(data)
}

const COLOURS: Readonly<Record<string, Colour>> = {
  Completed: 'green',
  Failed: 'red',
  DeadLettered: 'red',
  Aborted: 'magenta',
  Cancelled: 'gray',
  TimedOut: 'red',
  HolderLost: 'yellow',
  HolderFound: 'green',
  DirectiveGiven: 'magenta',
}

export const colourOf = (type: string): Colour | undefined => COLOURS[type]

/** Hours, minutes, seconds and milliseconds, UTC: what tells events of a day apart. */
export const clockOf = (time: string): string => time.slice(11, 23)

/** A history as a table: each event with the time since the one before. */
export const historyColumns = (events: readonly Pick<HistoryEvent, 'revision' | 'type' | 'time' | 'data' | 'actor'>[]): readonly Column<(typeof events)[number]>[] => {
  const before = new Map(events.map((event, index) => [event.revision, events[index - 1]?.time]))
  const since = (event: (typeof events)[number]): string => {
    const last = before.get(event.revision)
    return last === undefined ? '' : `+${formatDuration(Date.parse(event.time) - Date.parse(last))}`
  }
  return [
    { title: '#', value: (event) => String(event.revision), align: 'right', whole: true },
    { title: 'TIME', value: (event) => event.time, whole: true },
    { title: 'AFTER', value: since, align: 'right', whole: true },
    { title: 'EVENT', value: (event) => event.type, colour: (event) => COLOURS[event.type], whole: true },
    { title: 'WHAT', value: (event) => sentenceOf(event.type, event.data) },
    { title: 'BY', value: (event) => event.actor },
  ]
}
