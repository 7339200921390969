// The image of a host: a root file system of nothing but this machine's Node with its libraries, the packages that Stint is published with, and the sources as they are here.
// It is made without any registry, so whoever has an engine can run it.
import { execFileSync, spawn } from 'node:child_process'
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { getContainerRuntimeClient } from 'testcontainers'

const root = join(import.meta.dirname, '..', '..')

/** Nobody in particular, and not root. */
const USER = 10_001

/** What a Dockerfile would say besides. */
const CHANGES = [`USER ${USER}:${USER}`, 'WORKDIR /stint', 'ENV PATH=/usr/bin NODE_COMPILE_CACHE=/data/compiled', 'ENTRYPOINT ["/usr/bin/node"]']

/** Loaded by name while a program runs, so that no list of what it is linked to has them; newer C libraries have them built in. */
const BY_NAME = ['libnss_dns.so.2', 'libnss_files.so.2', 'libresolv.so.2']

/** Files that the program is linked to, as the linker finds them here. */
const librariesOf = (program: string): readonly string[] => {
  const linked = [...execFileSync('ldd', [program], { encoding: 'utf8' }).matchAll(/(?:=> |^\s+)(\/\S+) \(/gm)].map((match) => match[1] ?? '')
  const beside = new Set(linked.map((file) => dirname(file)))
  const named = [...beside].flatMap((folder) => BY_NAME.map((name) => join(folder, name)).filter(existsSync))
  return [...new Set([...linked, ...named])]
}

/** What `npm install` of the package would bring: everything but what only its developers need. */
const packages = (): readonly string[] => {
  const { packages: locked } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')) as { readonly packages: Readonly<Record<string, { readonly dev?: boolean }>> }
  return Object.entries(locked)
    .filter(([path, { dev = false }]) => path !== '' && !dev && existsSync(join(root, path)))
    .map(([path]) => path)
}

const CERTIFICATES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt']

/** Lays it out in a folder. */
const layOut = (folder: string): void => {
  const put = (from: string, to: string): void => {
    mkdirSync(dirname(join(folder, to)), { recursive: true })
    copyFileSync(realpathSync(from), join(folder, to))
  }
  put(process.execPath, '/usr/bin/node')
  for (const library of librariesOf(process.execPath)) put(library, library)
  const certificates = CERTIFICATES.find(existsSync)
  if (certificates !== undefined) put(certificates, '/etc/ssl/certs/ca-certificates.crt')
  mkdirSync(join(folder, 'etc'), { recursive: true })
  writeFileSync(join(folder, 'etc', 'passwd'), `stint:x:${USER}:${USER}:Stint:/data:/usr/bin/false\n`)
  writeFileSync(join(folder, 'etc', 'nsswitch.conf'), 'hosts: files dns\n')
  for (const empty of ['data', 'tmp']) mkdirSync(join(folder, empty))
  for (const path of [...packages(), 'bin', 'src', 'test/support', 'test/hosts', 'package.json'])
    cpSync(realpathSync(join(root, path)), join(folder, 'stint', path), { recursive: true, filter: (source) => !source.includes(join(path, 'node_modules')) })
}

/** Makes it under this name, `repository:tag`. One layer, read by the engine as it is packed. */
export const makeImage = async (name: string): Promise<void> => {
  const folder = mkdtempSync(join(tmpdir(), 'stint-image-'))
  try {
    layOut(folder)
    const { container } = await getContainerRuntimeClient()
    const [repo, tag] = name.split(':')
    const packed = spawn('tar', ['--create', `--owner=${USER}`, `--group=${USER}`, '--numeric-owner', '--directory', folder, '.'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const said = await container.dockerode.importImage(packed.stdout, { repo, tag, changes: CHANGES })
    await new Promise<void>((resolve, reject) => container.dockerode.modem.followProgress(said, (error) => (error === null ? resolve() : reject(error))))
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

export const removeImage = async (name: string): Promise<void> => {
  const { container } = await getContainerRuntimeClient()
  await container.dockerode.getImage(name).remove({ force: true })
}
