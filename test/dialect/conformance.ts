// What a client of the v1beta2 Task Queue API may rely on: one suite, run by every client that there is.
import { afterEach, beforeEach, expect } from 'vitest'
import { closeAll } from '../support/api.ts'
import type { ClientUnderTest } from './clients.ts'
import { leases } from './conformance-leases.ts'
import { service } from './conformance-service.ts'
import { tasks } from './conformance-tasks.ts'
import { createScene } from './scene.ts'

/** The suite for one client, within a `describe`; each test has a server of its own, whose clock stands until the test moves it. */
export const conformance = (client: ClientUnderTest): void => {
  const scene = createScene(client)
  beforeEach(() => scene.set())
  afterEach(async () => {
    await closeAll()
    // No call may meet a defect, whatever it was answered.
    expect(scene.stage.errors).toEqual([])
  })
  tasks(scene)
  leases(scene)
  service(scene)
}
