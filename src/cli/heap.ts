// How much memory V8 may take for what a server keeps and throws away. By default it takes several times what is in use to save collections, and gives little of it back.
import { PerformanceObserver } from 'node:perf_hooks'
import { getHeapSpaceStatistics, setFlagsFromString } from 'node:v8'

/** Both halves of the young generation. Node gives 128 MiB where there is enough memory, which saves a server no time: what lives longer than a request lives long. */
const YOUNG_BYTES = 16 * 1024 * 1024

/** MiB of each half with which the threads of log and tables begin. Their largest is set where they are started. */
const YOUNG_OF_THREADS_MIB = 4

/** The old generation is collected when it has grown by so much since the last time, in percent; by default that is up to three times as much as was left then. */
const GROWTH_PERCENT = 75

const youngBytes = (): number => getHeapSpaceStatistics().find(({ space_name }) => space_name === 'new_space')?.space_size ?? 0

/**
 * Bounds the heap of this process, for a server that lives as long as it; before the server's modules are loaded, which takes one long turn. V8 takes the largest size of the
 * young generation at its start only, but reads at each collection by which factor it may grow: it may once a turn until it is large enough, and again after it was made
 * smaller because nothing happened.
 */
export const boundHeap = (): void => {
  const growBy = (factor: 1 | 2): void => setFlagsFromString(`--semi-space-growth-factor=${factor}`)
  setFlagsFromString(`--heap-growing-percent=${GROWTH_PERCENT}`)
  setFlagsFromString(`--min-semi-space-size=${YOUNG_OF_THREADS_MIB}`)
  growBy(1)
  new PerformanceObserver(() => growBy(youngBytes() < YOUNG_BYTES ? 2 : 1)).observe({ entryTypes: ['gc'] })
}
