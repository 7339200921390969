// Ids and names on the command line, checked before anything is sent, so that a mistake is told in words.
import * as E from 'fp-ts/lib/Either.js'
import { itemId, taskItemId } from '../wire/items.ts'
import { nodeName } from '../wire/long-tasks.ts'
import { usage } from './failure.ts'

const decoded = (text: string): string => {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

const ID_ADVICE = 'An id is 1 to 200 letters, digits, dots, hyphens, underscores and tildes, and not . or .. alone.'

/** The id in its collection of what may be given as `<kind>/ID`; undefined when it cannot be one. */
const idIn = (prefix: string, given: string): string | undefined => {
  const id = given.startsWith(prefix) ? decoded(given.slice(prefix.length)) : given
  return E.isRight(itemId.decode(id)) ? id : undefined
}

/** The id of a job, which may be given as `job/ID`. */
export const localId = (given: string): string => {
  const id = idIn('job/', given)
  if (id === undefined) throw usage(`"${given}" cannot be the id of a job.`, `${ID_ADVICE} By its label a job is named with --label.`)
  return id
}

/** The id of a long task, which may be given as `long-task/ID`. */
export const longTaskIdOf = (given: string): string => {
  const id = idIn('long-task/', given)
  if (id === undefined) throw usage(`"${given}" cannot be the id of a long task.`, ID_ADVICE)
  return id
}

/** The name of an implementation node. */
export const nodeOf = (given: string): string => {
  if (E.isRight(nodeName.decode(given))) return given
  throw usage(`"${given}" cannot be the name of a node.`, 'A name is 1 to 200 letters, digits, dots, hyphens, underscores and tildes, and not . or .. alone.')
}

/** An id of a task. */
export const taskIdOf = (given: string): string => {
  if (E.isRight(taskItemId.decode(given))) return given
  throw usage(`"${given}" cannot be the id of a task.`, 'An id is 1 to 500 letters, digits, hyphens and underscores.')
}
