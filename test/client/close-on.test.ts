// Signals that close a worker: which are one request, and when they do again what they do by themselves.
import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { closeOn } from '../../src/client/close-on.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const listening = () => {
  const world = virtualWorld()
  const source = new EventEmitter()
  const told: string[] = []
  const listen = () => closeOn(['SIGTERM', 'SIGINT'], world, () => void told.push('close'), source)
  return { world, told, source, listen, send: (signal: string) => source.emit(signal, signal) }
}

describe('a worker that is closed by signals', () => {
  it('takes those that come together for one request, also when it has closed', () => {
    const { world, told, listen, send } = listening()
    const closed = listen()
    send('SIGTERM')
    send('SIGINT')
    closed()
    world.advance(499)
    expect(send('SIGTERM')).toBe(true)
    expect(told).toEqual(['close'])
  })

  it('listens no more half a second later, so that signals do what they do by themselves', () => {
    const { world, source, listen, send } = listening()
    listen()
    listen()
    send('SIGTERM')
    world.advance(500)
    expect(source.eventNames()).toEqual([])
  })

  it('hears none any more when it was closed without', () => {
    const { told, source, listen, send } = listening()
    const closed = listen()
    closed()
    send('SIGTERM')
    expect([told, source.eventNames()]).toEqual([[], []])
  })
})
