// Which addresses belong to the public internet, in every form in which one can be written.
import { describe, expect, it } from 'vitest'
import { addressOf, isPublicAddress } from '../../../src/engine/delivery/addresses.ts'

describe('an address', () => {
  it.each(['93.184.216.34', '1.1.1.1', '172.32.0.1', '100.128.0.1', '192.169.0.1', '2606:2800:220:1::1', '2a00::1', '::ffff:93.184.216.34', '::ffff:5db8:d822'])(
    '%s is public',
    (address) => expect(isPublicAddress(address)).toBe(true),
  )

  it.each([
    '0.0.0.0',
    '10.255.255.255',
    '100.64.0.1',
    '127.0.0.1',
    '127.255.255.254',
    '169.254.169.254',
    '172.16.0.1',
    '172.31.255.255',
    '192.0.0.8',
    '192.0.2.1',
    '192.168.1.1',
    '198.18.0.1',
    '198.51.100.7',
    '203.0.113.7',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    '::127.0.0.1',
    '::ffff:127.0.0.1',
    '::ffff:7f00:1',
    '::ffff:10.0.0.1',
    '::ffff:169.254.169.254',
    '64:ff9b::a00:1',
    '100::1',
    '2001::1',
    '2001:db8::1',
    '2002:a00:1::1',
    '3fff::1',
    'fc00::1',
    'fd12:3456::1',
    'fe80::1',
    'fe80::1%eth0',
    'fec0::1',
    'ff02::1',
    'localhost',
    '',
    '2130706433',
  ])('%s is not public', (address) => expect(isPublicAddress(address)).toBe(false))
})

describe('the host of a URL', () => {
  it.each([
    ['http://2130706433/', '127.0.0.1'],
    ['http://[::ffff:127.0.0.1]/', '::ffff:7f00:1'],
    ['http://0x7f.1/', '127.0.0.1'],
    ['http://localhost/', undefined],
    ['http://a.b.c.d/', undefined],
  ])('of %s is the address %s', (url, address) => expect(addressOf(new URL(url).hostname)).toBe(address))
})
