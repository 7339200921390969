// Ids and names on the command line, checked before anything is sent, so that a mistake is told in words.
import * as E from 'fp-ts/lib/Either.js'
import { itemId, taskItemId } from '../wire/items.ts'
import { usage } from './failure.ts'

const PREFIX = 'job/'

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** The id in its collection of what may be given as `job/ID`. */
export const localId = (given: string): string => {
  const id = given.startsWith(PREFIX) ? decoded(given.slice(PREFIX.length)) : given
  if (E.isRight(itemId.decode(id))) return id
  throw usage(
    `"${given}" cannot be the id of a job.`,
    'An id is 1 to 200 letters, digits, dots, hyphens, underscores and tildes, and not . or .. alone. By its label a job is named with --label.',
  )
}

/** An id of a task. */
export const taskIdOf = (given: string): string => {
  if (E.isRight(taskItemId.decode(given))) return given
  throw usage(`"${given}" cannot be the id of a task.`, 'An id is 1 to 500 letters, digits, hyphens and underscores.')
}
