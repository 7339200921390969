// Signals that close a worker: which are one request, and when they do again what they do by themselves.
import { EventEmitter } from 'node:events'
import { describe, expect, it } from 'vitest'
import { closeOn } from '../../src/client/close-on.ts'
import { virtualWorld } from '../support/virtual-world.ts'

const listening = () => {
  const world = virtualWorld()
  const told: string[] = []
  const source = Object.assign(new EventEmitter(), { pid: 7, kill: (pid: number, signal: string) => void told.push(`${signal} to ${pid}`) })
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
    send('SIGTERM')
    expect(told).toEqual(['close'])
  })

  it('leaves the process to a signal that comes half a second later', () => {
    const { world, told, listen, send } = listening()
    listen()
    send('SIGTERM')
    world.advance(500)
    send('SIGINT')
    expect(told).toEqual(['close', 'SIGINT to 7'])
  })

  it('leaves it to the others that listen, if there are any, the last of them too', () => {
    const { world, told, source, listen, send } = listening()
    listen()
    listen()
    send('SIGTERM')
    world.advance(500)
    send('SIGTERM')
    expect(told).toEqual(['close', 'close', 'SIGTERM to 7'])
    source.on('SIGTERM', () => void told.push('its own'))
    send('SIGTERM')
    expect(told.slice(3)).toEqual(['its own'])
  })

  it('hears none any more when it was closed without', () => {
    const { told, source, listen, send } = listening()
    const closed = listen()
    closed()
    send('SIGTERM')
    expect([told, source.eventNames()]).toEqual([[], []])
  })
})
