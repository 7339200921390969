// The real world with its clocks hurried, for what takes servers and sockets to show: waits of seconds are over in fractions of one.
import { realWorld, type World } from '../../src/world.ts'

/** Both clocks run `times` as fast, from now on. */
export const quickWorld = (times: number): World => {
  const start = realWorld.now()
  return {
    ...realWorld,
    now: () => start + (realWorld.now() - start) * times,
    monotonic: () => realWorld.monotonic() * times,
    timer: (ms, run) => realWorld.timer(ms / times, run),
  }
}
