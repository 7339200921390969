// An inverted index: which word stands how often in which file. It is built in parts, merged, kept as a sorted text file, and searched there.

/** Words shorter or longer than these say nothing to a reader. */
const WORD = /[\p{L}\p{N}_]{2,40}/gu

/** Times a word stands in each file, files by their number. */
export type Postings = ReadonlyMap<number, number>

/** Words with their postings. */
export type WordMap = ReadonlyMap<string, Postings>

/** Counts the words of texts. */
export interface Counter {
  /** Counts the words of a piece of a file. */
  readonly add: (file: number, text: string) => void
  readonly words: () => WordMap
  /** Words counted so far, each time they stand somewhere. */
  readonly total: () => number
}

/** Words of names like `jobServer` are found by their parts too. */
const partsOf = (word: string): readonly string[] => (/\p{Ll}\p{Lu}/u.test(word) ? [word, ...word.split(/(?<=\p{Ll})(?=\p{Lu})/u)] : [word])

export const createCounter = (): Counter => {
  const words = new Map<string, Map<number, number>>()
  let total = 0
  const count = (file: number, word: string): void => {
    let postings = words.get(word)
    if (postings === undefined) words.set(word, (postings = new Map()))
    postings.set(file, (postings.get(file) ?? 0) + 1)
    total += 1
  }
  return {
    add: (file, text) => {
      for (const [match] of text.matchAll(WORD)) for (const part of partsOf(match)) count(file, part.toLowerCase())
    },
    words: () => words,
    total: () => total,
  }
}

const lineOf = (word: string, postings: Postings): string => `${word} ${[...postings].map(([file, count]) => `${file}:${count}`).join(' ')}`

/** One line a word, sorted by word, so that a reader can search by halves. */
export const encodeWords = (words: WordMap): string =>
  [...words.keys()]
    .sort()
    .map((word) => `${lineOf(word, words.get(word) ?? new Map())}\n`)
    .join('')

const postingsOf = (line: string): Map<number, number> =>
  new Map(
    line
      .split(' ')
      .slice(1)
      .map((posting) => {
        const [file = 0, count = 0] = posting.split(':').map(Number)
        return [file, count]
      }),
  )

const wordOf = (line: string): string => line.slice(0, line.indexOf(' '))

/** Adds an encoded part to what is merged already. A file stands in one part only. */
export const mergeInto = (merged: Map<string, Map<number, number>>, encoded: string): void => {
  for (const line of encoded.split('\n')) {
    if (line === '') continue
    const word = wordOf(line)
    const known = merged.get(word)
    if (known === undefined) merged.set(word, postingsOf(line))
    else for (const [file, count] of postingsOf(line)) known.set(file, (known.get(file) ?? 0) + count)
  }
}

/** Answers questions from an encoded index. */
export interface Searcher {
  /** Numbers of the files in which all words stand, the best first: a rare word counts for more than a common one. */
  readonly search: (words: readonly string[]) => readonly number[]
}

export const createSearcher = (encoded: string, files: number): Searcher => {
  const lines = encoded.split('\n').slice(0, -1)

  const find = (word: string): Postings | undefined => {
    let low = 0
    let high = lines.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (wordOf(lines[middle] ?? '') < word) low = middle + 1
      else high = middle
    }
    const line = lines[low]
    return line !== undefined && wordOf(line) === word ? postingsOf(line) : undefined
  }

  return {
    search: (words) => {
      const found = words.map((word) => find(word.toLowerCase()))
      const [first] = found
      if (first === undefined || found.includes(undefined)) return []
      const scoreOf = (file: number): number => found.reduce((sum, postings) => sum + Math.log1p(postings?.get(file) ?? 0) * Math.log1p(files / (postings?.size ?? 1)), 0)
      return [...first.keys()]
        .filter((file) => found.every((postings) => postings?.has(file)))
        .map((file) => ({ file, score: scoreOf(file) }))
        .sort((a, b) => b.score - a.score || a.file - b.file)
        .map(({ file }) => file)
    },
  }
}
