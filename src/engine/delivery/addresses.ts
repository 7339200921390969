// Which addresses belong to the public internet, and a name lookup that gives no others. The address that is looked at is the one that is connected to, so that a name
// which resolves anew in between (DNS rebinding) gains nothing.
import type { LookupFunction } from 'node:net'
import { BlockList, isIP } from 'node:net'
import type { lookup as systemLookup } from 'node:dns'

export type Lookup = typeof systemLookup

/** A name or address that is not public, and that no pattern of the allow-list names exactly. */
export class AddressRefused extends Error {
  constructor(host: string) {
    super(`${host} is, or resolves to, an address that is not public; allowUrls has to name the host exactly to call it there.`)
    this.name = 'AddressRefused'
  }
}

/** What IANA has set aside: private, shared, loopback, link-local, documentation, benchmarks, multicast, and forms of IPv6 that lead to an IPv4 address. */
const RESERVED: readonly (readonly [net: string, prefix: number, family: 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.88.99.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
  ['2001::', 23, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['2002::', 16, 'ipv6'],
  ['3fff::', 20, 'ipv6'],
]

const reserved = new BlockList()
for (const [net, prefix, family] of RESERVED) reserved.addSubnet(net, prefix, family)
const mapped = new BlockList()
mapped.addSubnet('::ffff:0:0', 96, 'ipv6')
/** All that is given out as global unicast; what is outside of it is reserved, local or multicast. */
const global = new BlockList()
global.addSubnet('2000::', 3, 'ipv6')

/** Whether the address, of either family, belongs to the public internet. False for what is no address. */
export const isPublicAddress = (text: string): boolean => {
  const [address = ''] = text.split('%')
  switch (isIP(address)) {
    case 4:
      return !reserved.check(address, 'ipv4')
    case 6:
      // Rules of IPv4 hold for addresses that are mapped into IPv6 too.
      return (mapped.check(address, 'ipv6') || global.check(address, 'ipv6')) && !reserved.check(address, 'ipv6')
    default:
      return false
  }
}

/** The address that the host of a URL is, if it is one and no name. */
export const addressOf = (hostname: string): string | undefined => {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1')
  return isIP(bare) === 0 ? undefined : bare
}

/** A lookup for `net.connect` that fails with AddressRefused if any address of the name is not public. */
export const publicLookup =
  (lookup: Lookup): LookupFunction =>
  (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      const [first] = found ?? []
      if (error !== null || first === undefined) return callback(error ?? new AddressRefused(hostname), '')
      if (!found.every(({ address }) => isPublicAddress(address))) return callback(new AddressRefused(hostname), '')
      if (options.all === true) callback(null, found)
      else callback(null, first.address, first.family)
    })
  }
