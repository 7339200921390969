// The number that stands for a stream's name in the index of streams.
const FNV_BASIS = 0x811c9dc5
const FNV_PRIME = 0x01000193

/**
 * The number that stands for a name in the index: FNV-1a over its UTF-16 units, 32 bits. Some streams share one, so an event found by it is asked for its stream.
 * `basis` differs between stores: nobody can choose names that share one without knowing the store.
 */
export const streamKey = (stream: string, basis = FNV_BASIS): number => {
  let key = basis
  for (let at = 0; at < stream.length; at += 1) key = Math.imul(key ^ stream.charCodeAt(at), FNV_PRIME)
  return key >>> 0
}
