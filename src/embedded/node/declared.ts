// The classes of operations that a node was started with, by name: what it tells the management node of each, and how an instance is made of arguments that came over the wire.
import * as E from 'fp-ts/lib/Either.js'
import type * as t from 'io-ts'
import { longTaskOf, specOf, type OperationClass, type OperationContext, type OperationSpec } from '../../client/long-task-class.ts'
import { OPERATIONS_MAX } from '../../wire/nodes.ts'
import { decode, type FieldError } from '../../wire/schema.ts'

export interface Declared {
  readonly spec: OperationSpec
  /** Undefined: it is short. */
  readonly onRestart: 'resume' | 'fail' | undefined
  /** The arguments as the class takes them, or every field that is wrong with them. */
  readonly argsOf: (given: unknown) => E.Either<readonly FieldError[], unknown>
  /** Makes one and runs it; whatever it throws, its constructor too, rejects. */
  readonly run: (args: unknown, context: OperationContext) => Promise<unknown>
}

export type Operations = ReadonlyMap<string, Declared>

const declaredOf = (operationClass: OperationClass): Declared => {
  const spec = specOf(operationClass)
  const { prototype } = operationClass as unknown as { readonly prototype: { readonly run?: unknown } }
  if (typeof prototype?.run !== 'function') throw new TypeError(`Expected ${spec.operation} to have a method run(context).`)
  const codec = operationClass.args as t.Type<unknown, unknown, unknown> | undefined
  return {
    spec,
    onRestart: spec.long ? (longTaskOf(operationClass)?.onRestart ?? 'fail') : undefined,
    argsOf: (given) => (codec === undefined ? E.right(given) : decode(codec, given)),
    run: async (args, context) => new operationClass(args as never).run(context),
  }
}

/** Reads what the classes declare. Throws `TypeError` for a class that is none, for two of one name, and for more than a node may know. */
export const declare = (classes: readonly OperationClass[]): Operations => {
  if (classes.length > OPERATIONS_MAX) throw new TypeError(`Expected at most ${OPERATIONS_MAX} operations, but there are ${classes.length}.`)
  const operations = new Map<string, Declared>()
  for (const operationClass of classes) {
    const declared = declaredOf(operationClass)
    if (operations.has(declared.spec.operation)) throw new TypeError(`Expected each operation to have a name of its own, but two are named ${declared.spec.operation}.`)
    operations.set(declared.spec.operation, declared)
  }
  return operations
}
