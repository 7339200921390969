// Bytes as base64: the same text and the same bytes with what Node has and with what browsers have.
import fc from 'fast-check'
import { afterEach, describe, expect, it, vi } from 'vitest'

const own = Buffer

afterEach(() => {
  vi.unstubAllGlobals()
  vi.resetModules()
})

const inNode = await import('../../src/client/base64.ts')
const inBrowser = async () => {
  vi.resetModules()
  vi.stubGlobal('Buffer', undefined)
  return import('../../src/client/base64.ts')
}

describe('base64', () => {
  it('is read as the bytes that it was made of', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const text = inNode.toBase64(bytes)
        expect(text).toBe(own.from(bytes).toString('base64'))
        expect(inNode.fromBase64(text)).toEqual(bytes)
      }),
    )
  })

  it('is made of the bytes of a view and not of all that its buffer has', () => {
    expect(inNode.toBase64(Uint8Array.from([0, 1, 2, 3]).subarray(1, 3))).toBe('AQI=')
  })

  it('is the same in a browser, also of more than a call may have arguments', async () => {
    const { toBase64, fromBase64 } = await inBrowser()
    const bytes = Uint8Array.from({ length: 200_000 }, (_, at) => (at * 31) % 256)
    expect(toBase64(bytes)).toBe(own.from(bytes).toString('base64'))
    expect(fromBase64(toBase64(bytes))).toEqual(bytes)
  })

  it('is refused where it is none', () => {
    expect(() => inNode.fromBase64('a*b=')).toThrow(expect.objectContaining({ name: 'InvalidCharacterError' }))
  })
})
