// The acts of the play, in their order.
import type { Act } from '../act.ts'
import { exactlyOnce } from './exactly-once.ts'
import { jobProxies } from './job-proxies.ts'
import { longTasks } from './long-tasks.ts'
import { taskQueues } from './task-queues.ts'

export const acts: readonly Act[] = [jobProxies, taskQueues, exactlyOnce, longTasks]
