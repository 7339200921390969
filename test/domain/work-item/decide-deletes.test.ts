// The dialect's delete, and what comes after it: whoever may work the queue ends a task, in any state and with any lease (rules 22).
import { describe, expect, it } from 'vitest'
import { given, givenItem, itemIn } from '../../support/given.ts'
import { askDirective, CURRENT, deleteTask, GRANT, insertTask, NEXT_HOLDER, NOW, reportCompleted, STATES, taskLeased, TERM_MS } from '../../support/samples.ts'
import type { WorkItemEvent } from '../../../src/domain/work-item/events.ts'
import { deletedBy } from './rows.ts'

describe('when a task is deleted', () => {
  const deleted = deletedBy('somebody else')
  const retried: WorkItemEvent = { type: 'RetryScheduled', lease: 1, dueAt: NOW + 1_000, code: 'disk-full', message: 'No space left.', digest: 'failed' }
  const second = taskLeased({ lease: 2, token: '2.next', holder: NEXT_HOLDER, until: NOW + TERM_MS })
  const late: WorkItemEvent = { type: 'LateResultRecorded', lease: 1, outcome: { completed: { result: { pages: 3 } } }, digest: 'completed' }
  const byStranger = (lease?: string) => deleteTask(NOW, { by: 'somebody else', ...(lease === undefined ? {} : { lease }) })

  it('stays deleted, whoever deletes it again and however late', () => {
    const gone = givenItem(itemIn('task running')).when(byStranger()).thenAdds(deleted)
    gone.when(byStranger()).thenNothing()
    gone.when(deleteTask(NOW + 86_400_000, { lease: CURRENT })).thenNothing()
  })

  it('tells its holder that it has settled, and takes the result as a late one', () => {
    const gone = givenItem(itemIn('task running')).when(byStranger(CURRENT)).thenAdds(deleted)
    gone.when(askDirective(NOW)).rejects('settled', { state: 'cancelled' })
    gone.when(reportCompleted(NOW)).thenAdds(late).when(reportCompleted(NOW)).thenNothing()
  })

  it('by its holder is completed without a result, which may still come', () => {
    const done = givenItem(itemIn('task running')).when(deleteTask(NOW)).thenAdds({ type: 'Completed', lease: 1 })
    expect(done.item).toMatchObject({ status: 'settled', end: 'completed', ended: { number: 1, how: 'settled', digest: undefined } })
    done.when(reportCompleted(NOW)).thenAdds(late)
  })

  it('is completed by a holder whose time is over, until the expiry is recorded; from then on it is cancelled', () => {
    givenItem(itemIn('task running'))
      .when(deleteTask(NOW + 86_400_000))
      .thenAdds({ type: 'Completed', lease: 1 })
    givenItem(itemIn('task waiting again'))
      .when(deleteTask(NOW, { lease: CURRENT }))
      .thenAdds(deletedBy('servers'))
  })

  it('is completed by any worker of the principal that holds it, unless another lease is named', () => {
    const life = [...STATES['task running'], retried, second]
    given(...life)
      .when(deleteTask(NOW))
      .thenAdds({ type: 'Completed', lease: 2 })
    given(...life)
      .when(deleteTask(NOW, { lease: CURRENT }))
      .thenAdds(deletedBy('servers'))
  })

  it('keeps its name: the same insert again adds nothing, another content is refused', () => {
    const gone = givenItem(itemIn('task waiting')).when(byStranger()).thenAdds(deleted)
    gone.when(insertTask(NOW, { leaseTo: GRANT })).thenNothing()
    gone.when(insertTask(NOW, { digest: 'other content' })).rejects('exists-with-other-content')
  })
})
