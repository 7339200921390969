// What the peers need and where it is: their npm packages in this folder, Postgres and Redis on the search path or where Debian puts them. Nothing of the system is changed unless `--install` says so.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { accessSync, constants, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Need } from './adapter.ts'

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const MODULES = join(FOLDER, 'node_modules')
const DEBIAN_POSTGRES = '/usr/lib/postgresql'

interface Wanted {
  readonly name: string
  /** Programs that must be there, all in one directory. */
  readonly programs: readonly string[]
  /** Debian's package. */
  readonly debian: string
}

const WANTED: Readonly<Record<Need, Wanted>> = {
  postgres: { name: 'PostgreSQL', programs: ['postgres', 'initdb'], debian: 'postgresql' },
  redis: { name: 'Redis', programs: ['redis-server'], debian: 'redis-server' },
}

const isProgram = (file: string): boolean => {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

/** Directories to look in; Debian keeps the programs of each version of Postgres apart, the newest one comes first. */
const directories = (): readonly string[] => {
  const versions = existsSync(DEBIAN_POSTGRES) ? readdirSync(DEBIAN_POSTGRES).toSorted((a, b) => Number(b) - Number(a)) : []
  return [...(process.env['PATH'] ?? '').split(delimiter), ...versions.map((version) => join(DEBIAN_POSTGRES, version, 'bin'))]
}

const directoryOf = (need: Need): string | undefined => directories().find((directory) => WANTED[need].programs.every((program) => isProgram(join(directory, program))))

/** The path of a program of something that is there. Throws when it is not. */
export const programOf = (need: Need, program: string): string => {
  const directory = directoryOf(need)
  if (directory === undefined) throw new Error(`${WANTED[need].name} is not installed`)
  return join(directory, program)
}

/** What a program says of its version. */
export const versionSaid = (need: Need, program: string): string =>
  /\d+(?:\.\d+)+/.exec(execFileSync(programOf(need, program), ['--version'], { encoding: 'utf8' }))?.[0] ?? 'unknown'

export const missingOf = (needs: readonly Need[]): readonly Need[] => needs.filter((need) => directoryOf(need) === undefined)

const packagesOf = (needs: readonly Need[]): string => needs.map((need) => WANTED[need].debian).join(' ')

/** What is missing and how to get it. */
export const missingText = (missing: readonly Need[]): string =>
  [
    `Not installed: ${missing.map((need) => `${WANTED[need].name} (${WANTED[need].programs.join(', ')})`).join(' and ')}. To get it:`,
    '  npm run bench:peers -- --install            # on Debian and its kin: the next line for you, with sudo unless you are root',
    `  apt-get install ${packagesOf(missing)}`,
    'or put its programs on the search path. No service of it has to run, and none that runs is touched.',
  ].join('\n')

/** Installs Debian's packages. Throws where there is no apt-get, or when it fails. */
export const installPackages = (missing: readonly Need[]): void => {
  const prefix = process.getuid?.() === 0 ? [] : ['sudo']
  for (const command of [
    ['apt-get', 'update'],
    ['apt-get', 'install', '--yes', ...missing.map((need) => WANTED[need].debian)],
  ]) {
    const [program = '', ...args] = [...prefix, ...command]
    console.error(`$ ${[program, ...args].join(' ')}`)
    execFileSync(program, args, { stdio: 'inherit', env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' } })
  }
}

/** Says which lock file the installed packages are of. */
const STAMP = join(MODULES, '.installed-of')

/** Installs the peers' npm packages beside this file, unless they are there as the lock file says. They are no dependencies of Stint. */
export const installModules = (): void => {
  const digest = createHash('sha256')
    .update(readFileSync(join(FOLDER, 'package-lock.json')))
    .digest('hex')
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === digest) return
  console.error('$ npm ci, in bench/peers')
  execFileSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: FOLDER, stdio: ['ignore', 'inherit', 'inherit'] })
  writeFileSync(STAMP, digest)
}

/** The directory of an installed npm package. */
export const moduleDirectory = (name: string): string => join(MODULES, name)

export const moduleVersion = (name: string): string => (JSON.parse(readFileSync(join(moduleDirectory(name), 'package.json'), 'utf8')) as { readonly version: string }).version

/** A peer's package, typed by what is used of it: the project compiles whether it is installed or not. */
export const moduleOf = async <Exports>(name: string): Promise<Exports> => (await import(name)) as Exports
