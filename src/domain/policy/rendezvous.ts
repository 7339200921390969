// Who of several does a thing that one of them is to do: all come to the same order without asking each other, and who goes away changes only what was its own.

/** FNV-1a over the text's UTF-16 units, then mixed so that keys that differ in their last character alone are far apart. */
const scoreOf = (text: string): number => {
  let hash = 0x811c9dc5
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** How many of the others come before this one for a thing; 0: it is its own. The names are taken once each, in any order. */
export const rankAmong = (name: string, names: Iterable<string>, thing: string): number => {
  const mine = scoreOf(`${name}\n${thing}`)
  let before = 0
  for (const other of names) {
    if (other === name) continue
    const score = scoreOf(`${other}\n${thing}`)
    if (score > mine || (score === mine && other < name)) before += 1
  }
  return before
}

/** Whose it is; undefined when there is nobody. */
export const firstAmong = (names: Iterable<string>, thing: string): string | undefined => {
  let first: { readonly name: string; readonly score: number } | undefined
  for (const name of names) {
    const score = scoreOf(`${name}\n${thing}`)
    if (first === undefined || score > first.score || (score === first.score && name < first.name)) first = { name, score }
  }
  return first?.name
}
