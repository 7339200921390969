// Requests to stop: which signals are one, and which end a process at once.
import { EventEmitter } from 'node:events'
import { expect, it } from 'vitest'
import { hearStops } from '../../src/client/stops.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const listening = () => {
  const world = virtualWorld()
  const source = new EventEmitter()
  const told: string[] = []
  hearStops(['SIGTERM', 'SIGINT'], world, { first: (signal) => told.push(`first ${signal}`), again: (signal) => told.push(`again ${signal}`) }, source)
  return { world, told, send: (signal: 'SIGTERM' | 'SIGINT') => source.emit(signal, signal) }
}

it('takes signals that come together for one request to stop', () => {
  const { world, told, send } = listening()
  send('SIGTERM')
  send('SIGTERM')
  world.advance(499)
  send('SIGTERM')
  send('SIGINT')
  expect(told).toEqual(['first SIGTERM'])
})

it('takes a signal half a second after the first one for a second request', () => {
  const { world, told, send } = listening()
  send('SIGINT')
  world.advance(500)
  send('SIGINT')
  send('SIGTERM')
  expect(told).toEqual(['first SIGINT', 'again SIGINT', 'again SIGTERM'])
})
