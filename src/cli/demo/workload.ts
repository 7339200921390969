// What the demo asks the job servers to do: a directory tree cut into directories, one request for each.
import { readdir } from 'node:fs/promises'
import { basename, join, relative, sep } from 'node:path'
import { sourceFilesUnder } from './source-files.ts'

/** A directory that can be indexed as one job. */
export interface Piece {
  readonly directory: string
  readonly files: number
  readonly bytes: number
}

/** One request: index this directory. */
export interface Request extends Piece {
  /** How people call it; no two requests have the same. */
  readonly label: string
}

const measured = async (directory: string): Promise<Piece> => {
  const files = await sourceFilesUnder(directory)
  return { directory, files: files.length, bytes: files.reduce((sum, file) => sum + file.bytes, 0) }
}

const childrenOf = async ({ directory }: Piece): Promise<readonly Piece[]> => {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  const directories = entries.filter((entry) => entry.isDirectory() && entry.name !== '.git' && entry.name !== '.bin')
  return (await Promise.all(directories.map((entry) => measured(join(directory, entry.name))))).filter((child) => child.files > 0)
}

const bySize = (a: Piece, b: Piece): number => b.bytes - a.bytes

/** A piece larger than so many even shares is cut further. */
const SHARES_MAX = 1.5

/** Takes the largest piece that can be cut apart, until there are enough of them and none is much larger than its share. */
const cutApart = async (whole: Piece, enough: number): Promise<readonly Piece[]> => {
  let pieces: readonly Piece[] = [whole]
  const uncuttable = new Set<string>()
  for (;;) {
    const largest = pieces.filter((piece) => !uncuttable.has(piece.directory)).sort(bySize)[0]
    if (largest === undefined || (pieces.length >= enough && largest.bytes <= (whole.bytes / enough) * SHARES_MAX)) return pieces
    const children = await childrenOf(largest)
    // A directory is only cut where its sub-directories hold nearly all of it.
    if (children.reduce((sum, child) => sum + child.bytes, 0) < largest.bytes * 0.8) uncuttable.add(largest.directory)
    else pieces = [...pieces.filter((piece) => piece !== largest), ...children]
  }
}

/** What a piece belongs to: the first directory below the root, or two of them where the first is the scope of packages. */
const packageOf = (root: string, { directory }: Piece): string => {
  const [first = '', second = ''] = relative(root, directory).split(sep)
  return first.startsWith('@') ? `${first}/${second}` : first
}

/** Pieces of one package look alike: more of them are only taken where there are too few packages. */
const PER_PACKAGE = 2

/** The largest of each package come first, then the next of each, and so on. */
const varied = (root: string, pieces: readonly Piece[]): readonly Piece[] =>
  [...Map.groupBy(pieces, (piece) => packageOf(root, piece)).values()]
    .flatMap((alike) => alike.toSorted(bySize).map((piece, rank) => ({ piece, round: Math.floor(rank / PER_PACKAGE) })))
    .sort((a, b) => a.round - b.round || bySize(a.piece, b.piece))
    .map(({ piece }) => piece)

/** Large directories of a tree, `most` of them, from as many packages as there are; the largest first. Empty when there is nothing to index. */
export const piecesOf = async (root: string, most: number): Promise<readonly Piece[]> => {
  const whole = await measured(root)
  if (whole.files === 0) return []
  return varied(root, await cutApart(whole, most))
    .slice(0, most)
    .toSorted(bySize)
}

/** The request with this number, from 0: one for each piece, then one for each again. */
export const requestAt = (root: string, pieces: readonly Piece[], number: number): Request => {
  const piece = pieces[number % pieces.length]
  if (piece === undefined) throw new RangeError('Expected something to index.')
  const round = Math.floor(number / pieces.length) + 1
  const name = relative(root, piece.directory).split(sep).join('/') || basename(root)
  return { ...piece, label: round === 1 ? name : `${name} #${round}` }
}
