// What the engine's thread and the tables' thread say to each other.
import type { Position } from '../store/port.ts'
import type { ListText, LiveText, Statistics, UsageAnswer } from './runner.ts'
import type { DueFilter, DuePage, ItemFilter, RequestFilter, RetiredFilter, StatisticsFilter, TablesStatus, UsageFilter } from './tables.ts'

/** Where the log is: in a file that exists, or in an EventStoreDB. */
export type LogPlace = { readonly storeFile: string } | { readonly connectionString: string }

/** What the thread is started with. */
export interface ThreadData {
  /** Of the tables: a path, or `:memory:`. */
  readonly file: string
  readonly log: LogPlace
}

export type Question =
  | { readonly type: 'list'; readonly filter: ItemFilter }
  | { readonly type: 'statistics'; readonly filter: StatisticsFilter }
  | { readonly type: 'requests'; readonly filter: RequestFilter }
  | { readonly type: 'usage'; readonly filter: UsageFilter }
  | { readonly type: 'expiring'; readonly filter: DueFilter }
  | { readonly type: 'retired'; readonly filter: RetiredFilter }
  | { readonly type: 'liveItems' }

/** Each question has a number, which its answer carries. */
export type ToThread =
  | { readonly type: 'question'; readonly number: number; readonly question: Question }
  | { readonly type: 'follow'; readonly head: Position }
  | { readonly type: 'close' }

export type FromThread =
  | { readonly type: 'opened'; readonly status: TablesStatus }
  | { readonly type: 'refused'; readonly message: string }
  | { readonly type: 'moved'; readonly status: TablesStatus; readonly events: number }
  /** What was told is followed, as far as the log shows it. */
  | { readonly type: 'idle' }
  | { readonly type: 'log'; readonly text: string }
  | { readonly type: 'answer'; readonly number: number; readonly value: ListText | Statistics | UsageAnswer | DuePage | LiveText }
  | { readonly type: 'failed'; readonly number: number; readonly message: string }
