// A directory as a user's project would be: its programs import `stint`, which is this checkout's sources, and express. Nothing has to be built or fetched for it.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from './documents.ts'

/** Modules of the checkout that a user's project has too; `.bin` lets its `npx node` find the Node of this project. */
const SHARED = ['.bin', '@types', 'express', 'fp-ts', 'io-ts']

/** A user's settings as strict as ours. */
const TSCONFIG = {
  compilerOptions: {
    module: 'NodeNext',
    target: 'ES2024',
    lib: ['ES2024', 'ESNext.Disposable', 'DOM', 'DOM.Iterable', 'DOM.AsyncIterable'],
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    noEmit: true,
  },
  include: ['*.ts'],
}

/** Makes the project in `folder` and answers its path. */
export const userProject = (folder: string): string => {
  const modules = join(folder, 'node_modules')
  mkdirSync(join(modules, 'stint'), { recursive: true })
  for (const name of SHARED) symlinkSync(join(root, 'node_modules', name), join(modules, name), 'junction')
  // The link leads out of node_modules, below which Node would not strip types.
  symlinkSync(join(root, 'src'), join(modules, 'stint', 'src'), 'junction')
  writeFileSync(
    join(modules, 'stint', 'package.json'),
    JSON.stringify({ name: 'stint', type: 'module', exports: { '.': './src/client/index.ts', './embedded': './src/embedded/index.ts', './express': './src/embedded/express.ts' } }),
  )
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'user', private: true, type: 'module' }))
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(TSCONFIG))
  return folder
}
