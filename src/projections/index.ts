// The list of all tabular projections. Its order is their rank: the first that runs is the one whose position speaks for the tables.
import type { Projection } from './projection.ts'
import { requests } from './requests.ts'
import { retired } from './retired.ts'
import { statistics } from './statistics.ts'
import { workItems } from './work-items.ts'

export const projections: readonly Projection[] = [workItems, statistics, requests, retired]
