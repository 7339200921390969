// Which files are worth an index: Markdown and source code, found by walking a directory.
import { readdir, stat } from 'node:fs/promises'
import { extname, join } from 'node:path'

const EXTENSIONS: ReadonlySet<string> = new Set([
  ...['.md', '.mdx', '.txt', '.rst', '.html', '.css', '.json', '.yaml', '.yml', '.toml', '.sql', '.sh'],
  ...['.ts', '.mts', '.cts', '.tsx', '.js', '.mjs', '.cjs', '.jsx'],
  ...['.py', '.rb', '.rs', '.go', '.java', '.kt', '.c', '.h', '.cc', '.cpp', '.hpp', '.cs', '.swift', '.scala', '.php', '.pl', '.lua'],
])

/** Larger files are bundles and tables that nobody reads. */
const BYTES_MAX = 512 * 1024

export interface SourceFile {
  readonly path: string
  readonly bytes: number
}

/** The files under a directory, in the order of their names; links are not followed, what cannot be read is left out. `onDirectory` is awaited before each directory. */
export const sourceFilesUnder = async (directory: string, onDirectory: () => Promise<void> = async () => undefined): Promise<readonly SourceFile[]> => {
  await onDirectory()
  const files: SourceFile[] = []
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(directory, entry.name)
    if (entry.isDirectory() && entry.name !== '.git') files.push(...(await sourceFilesUnder(path, onDirectory)))
    if (!entry.isFile() || !EXTENSIONS.has(extname(entry.name).toLowerCase())) continue
    const { size } = await stat(path).catch(() => ({ size: 0 }))
    if (size > 0 && size <= BYTES_MAX) files.push({ path, bytes: size })
  }
  return files
}
