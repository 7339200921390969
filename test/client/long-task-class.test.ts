// How a class of operations says that it is long and how it is timed: by a static member, by a call, and as a decorator in code that a user compiles.
import { execFile } from 'node:child_process'
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { longTask, type LongTask, type OperationContext } from '../../src/client/index.ts'
import { longTaskOf, specOf } from '../../src/client/long-task-class.ts'
import { root } from '../support/documents.ts'
import { userProject } from '../support/user-project.ts'

const SLOW_MS = 90_000

class CopyImage {
  static readonly longTask = { timeout: '15m', progressEvery: '2s', stalledAfter: '1m', onRestart: 'resume' } satisfies LongTask
  readonly args: { readonly from: string }
  constructor(args: { readonly from: string }) {
    this.args = args
  }
  run(context: OperationContext): string {
    return context.id
  }
}

class Ping {
  run(): string {
    return 'pong'
  }
}

describe('a class of operations', () => {
  it('is long by its static declaration, and says so of its instances too', () => {
    const spec = { operation: 'CopyImage', long: true, timeoutSeconds: 900, progressEverySeconds: 2, stalledAfterSeconds: 60 }
    expect([specOf(CopyImage), specOf(new CopyImage({ from: 'x' }))]).toEqual([spec, spec])
    expect(longTaskOf(CopyImage)?.onRestart).toBe('resume')
  })

  it('is short without one', () => {
    expect([specOf(Ping), specOf(new Ping()), longTaskOf(Ping)]).toEqual([{ operation: 'Ping', long: false }, { operation: 'Ping', long: false }, undefined])
  })

  it('has the name that it gives itself', () => {
    class A {
      static readonly operation = 'copy-image'
      run(): void {}
    }
    expect(specOf(A)).toEqual({ operation: 'copy-image', long: false })
  })

  it('is long by a call of longTask, which goes before its own declaration', () => {
    class MoveImage {
      static readonly longTask = { timeout: '1h' } satisfies LongTask
      run(): void {}
    }
    const marked: typeof MoveImage = longTask({ timeout: '90s' })(MoveImage)
    expect([marked === MoveImage, specOf(MoveImage)]).toEqual([true, { operation: 'MoveImage', long: true, timeoutSeconds: 90 }])
    // The class itself is as it was.
    expect(Object.keys(MoveImage)).toEqual(['longTask'])
  })

  it('has what the class above it declares, unless it declares something itself', () => {
    class CopyFast extends CopyImage {}
    class CopySlow extends CopyImage {
      static override readonly longTask = { ...CopyImage.longTask, timeout: '2h', progressEvery: '1m30s' } as never
    }
    expect(specOf(CopyFast)).toMatchObject({ operation: 'CopyFast', timeoutSeconds: 900 })
    expect(specOf(CopySlow)).toMatchObject({ operation: 'CopySlow', timeoutSeconds: 7_200, progressEverySeconds: 90 })
  })

  it('without a name is refused', () => {
    const nameless = [
      class {
        run(): void {}
      },
    ]
    expect(() => specOf(nameless[0] ?? Ping)).toThrow('Expected the class of an operation to be named by 1 to 200 characters')
  })
})

describe('a declaration that is none', () => {
  const declared = (given: unknown) => () => {
    class CopyAll {
      static readonly longTask = given
      run(): void {}
    }
    return specOf(CopyAll)
  }

  it('is refused with the name of the field', () => {
    expect(declared({ timeout: '15 minutes' })).toThrow('Expected CopyAll.longTask.timeout to be a duration like "2s", "15m" or "1h30m", but it is "15 minutes".')
    expect(declared({ timeout: 900 })).toThrow(TypeError)
    expect(declared({ progressEvery: '50ms' })).toThrow('CopyAll.longTask.progressEvery: Expected 0.1 to 3600. It is 0.05 s.')
    expect(declared({ stalledAfter: '400d' })).toThrow('CopyAll.longTask.stalledAfter: Expected 0.1 to 31536000. It is 34560000 s.')
    expect(declared({ onRestart: 'retry' })).toThrow('Expected CopyAll.longTask.onRestart to be "resume" or "fail", but it is "retry".')
    expect(declared({ timout: '15m' })).toThrow('Expected CopyAll.longTask to have timeout, progressEvery, stalledAfter, onRestart only, but it has timout.')
    expect(declared('15m')).toThrow('Expected CopyAll.longTask to be an object, but it is "15m".')
  })

  it('is refused by longTask at once', () => {
    expect(() => longTask({ timeout: 'soon' } as never)).toThrow('Expected longTask.timeout to be a duration like "2s", "15m" or "1h30m", but it is "soon".')
  })
})

describe('the decorator', () => {
  const folder = userProject(mkdtempSync(join(tmpdir(), 'stint-decorated-')))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const run = (...args: readonly string[]): Promise<string> =>
    new Promise((resolve) => void execFile(process.execPath, args as string[], { cwd: folder }, (_error, out, err) => resolve((out + err).trim())))

  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  it('marks a class in code that a user compiles, and the compiler checks what it says', { timeout: SLOW_MS }, async () => {
    copyFileSync(join(import.meta.dirname, '..', 'fixtures', 'decorated-operation.ts.txt'), join(folder, 'decorated.ts'))
    expect(await run(tsc, '-p', '.')).toBe('')
    // One file as it is, to JavaScript: decorators cannot be stripped as types are.
    await run(tsc, 'decorated.ts', '--ignoreConfig', '--noCheck', '--noResolve', '--target', 'ES2024', '--module', 'NodeNext', '--outDir', 'out')
    writeFileSync(
      join(folder, 'out', 'show.js'),
      `import * as operations from './decorated.js'\nimport { specOf } from '../node_modules/stint/src/client/long-task-class.ts'\nconsole.log(JSON.stringify(Object.values(operations).map(specOf)))\n`,
    )
    expect(await run(join('out', 'show.js'))).toBe(
      JSON.stringify([
        { operation: 'CopyImage', long: true, timeoutSeconds: 900, progressEverySeconds: 2 },
        { operation: 'MoveImage', long: true, timeoutSeconds: 5_400 },
      ]),
    )
    writeFileSync(join(folder, 'wrong.ts'), `import { longTask } from 'stint'\n@longTask({ timeout: '15 minutes' })\nexport class CopyImage {\n  run(): void {}\n}\n`)
    expect(await run(tsc, '-p', '.')).toMatch(/^wrong\.ts\(2,13\): error TS2322: Type '"15 minutes"' is not assignable/)
  })
})
