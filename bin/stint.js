#!/usr/bin/env node
// Starts the command line on a Node that can run it. Plain JavaScript, so that an older Node gets as far as saying what is missing or handing over to a newer one.
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** Node 24.15.0 is the first of its line with SQLite 3.51.3; `engines` in package.json says the same. */
const fits = (version) => {
  const [major = 0, minor = 0] = version.replace(/^v/, '').split('.').map(Number)
  return (major === 24 && minor >= 15) || major >= 26
}

const root = join(dirname(fileURLToPath(import.meta.url)), '..')

/** A checkout runs its sources, whatever an older build left in dist; the published package has only dist. */
const main = [join(root, 'src', 'cli', 'main.ts'), join(root, 'dist', 'cli', 'main.js')].find((file) => existsSync(file))

/** The Node of the npm package `node`, if one that fits is installed beside this package or above it. */
const installedNode = () => {
  try {
    const manifest = createRequire(import.meta.url).resolve('node/package.json')
    if (!fits(JSON.parse(readFileSync(manifest, 'utf8')).version)) return undefined
    return ['node', 'node.exe'].map((name) => join(dirname(manifest), 'bin', name)).find((file) => existsSync(file))
  } catch {
    return undefined
  }
}

/** Runs the same command line on another Node and ends as it ends. */
const handOver = (node) => {
  const child = spawn(node, [main, ...process.argv.slice(2)], { stdio: 'inherit' })
  // A terminal and most supervisors signal the child too, and nothing tells here whether they did: the command line takes two at a time for one.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal))
  child.on('error', (error) => fail(`stint: cannot start ${node}: ${error.message}`))
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code)
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  })
}

const fail = (message) => {
  process.stderr.write(`${message}\n`)
  process.exitCode = 2
}

if (main === undefined) {
  fail('stint: this package is not built. Run `npm run build` in its directory.')
} else if (fits(process.version)) {
  await import(pathToFileURL(main).href)
} else {
  const node = installedNode()
  if (node === undefined) {
    fail(
      `stint: the command line and the server need Node 24 from 24.15 on, or Node 26 or newer, for the built-in SQLite 3.51.3; this is Node ${process.versions.node}.\n` +
        // npm 11.19 runs no install script that package.json does not allow, and refuses to be told on the command line; the npm of an older Node passes the setting over.
        'Install it from https://nodejs.org, or for this project alone: npm pkg set allowScripts.node=true --json && npm install --save-dev node@24\n' +
        "The client library (`import { connect } from 'stint'`) runs on Node 20 and newer.",
    )
  } else {
    handOver(node)
  }
}
