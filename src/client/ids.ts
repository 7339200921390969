// Identifiers that the client makes: sent with the first try and every repeat, so that a lost answer does no harm.
import type { World } from '../world.ts'

/** A UUIDv7: begins with the time in milliseconds, so that later ones sort after earlier ones; the rest is chance. */
export const uuidv7 = (world: World): string => {
  const time = Math.trunc(world.now()).toString(16).padStart(12, '0')
  const chance = world.uuid()
  return `${time.slice(0, 8)}-${time.slice(8)}-7${chance.slice(15)}`
}
