// What an act of the play is. Each shows a capability on the Stint that all acts share; another one is a file in `acts/` and a line in `acts/index.ts`.
import type { Stint } from '../../client/index.ts'
import type { Role } from '../../wire/route.ts'
import type { World } from '../../world.ts'
import type { Context } from '../context.ts'
import type { Nursery } from './children.ts'
import type { Claims } from './claims.ts'
import type { Stage } from './stage.ts'
import type { StintSeat } from './stint-seat.ts'

/** What an act says that Stint does, and whether it was so. */
export interface Claim {
  readonly claim: string
  readonly isTrue: boolean
  /** What it rests on; may be empty. */
  readonly seen: string
}

/** The two files of an app, as they stand in its directory. */
export interface QueueFiles {
  readonly app: string
  /** `queue.yaml`. */
  readonly queues: string
  /** `stint-queue.yaml`. */
  readonly settings: string
}

export interface Principal {
  readonly name: string
  readonly email: string
  readonly role: Role
}

/** What every act is given. */
export interface Play {
  readonly context: Context
  readonly world: World
  readonly nursery: Nursery
  readonly stint: StintSeat
  /** Stint, as its administrator. */
  readonly admin: Stint
  /** A file that holds the administrator's token, for commands that a viewer may run. */
  readonly adminTokenFile: string
  /** Makes a token; answers its secret. */
  readonly tokenFor: (principal: Principal) => Promise<string>
  readonly claims: Claims
  /** Says a line outside of a scene. */
  readonly say: (line?: string) => void
  /** A stage for the scenes of an act; the act closes it. */
  readonly openStage: () => Stage
  /** The title of a scene, with its number and that of its act. */
  readonly sceneTitle: (number: number, of: number, text: string) => string
  /** Source files below it are the material of the work. */
  readonly root: string
  /** Where the act's processes write, a directory of its own. */
  readonly directory: string
  readonly isFast: boolean
  /** About how long the act's work takes; undefined: as the act thinks right. */
  readonly seconds: number | undefined
  /** Milliseconds that a viewer gets to look at something before the story goes on. */
  readonly breathMs: number
  readonly interrupted: AbortSignal
}

export interface Act {
  readonly title: string
  /** What it shows; one line each. */
  readonly shows: readonly string[]
  /** Queue files of the applications that play in it. */
  readonly queueFiles?: QueueFiles
  /**
   * Plays it: starts its cast, does something to it scene by scene, checks what it claims meanwhile, and ends the cast. Resolves with the claims that it proves in the end
   * against Stint's log. Rejects when the cast fails or `interrupted` aborts; the caller ends whoever is left then.
   */
  readonly perform: (play: Play) => Promise<readonly Claim[]>
}
