// What stands on the command line as a payload or a result: JSON or any text, from the argument itself, standard input or a file.
import { readFileSync } from 'node:fs'
import { usage } from './failure.ts'

/** What an argument stands for: itself, standard input (`-`) or a file (`@FILE`). */
export const textOf = (argument: string): string => {
  if (argument === '-') return readFileSync(0, 'utf8')
  if (!argument.startsWith('@')) return argument
  try {
    return readFileSync(argument.slice(1), 'utf8')
  } catch (cause) {
    throw usage(`${argument.slice(1)} cannot be read: ${cause instanceof Error ? cause.message : String(cause)}`)
  }
}

/** An argument as JSON; what is no JSON is taken as a string. `-` reads standard input, `@FILE` a file. */
export const jsonOf = (argument: string): unknown => {
  const text = textOf(argument)
  try {
    return JSON.parse(text) as unknown
  } catch {
    return text
  }
}

export const JSON_FLAG = 'JSON or any text; - reads standard input, @FILE a file'

/** An object without the fields that were not given. */
export const present = <Fields extends Readonly<Record<string, unknown>>>(fields: Fields): { readonly [K in keyof Fields]?: Exclude<Fields[K], undefined> } =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as { readonly [K in keyof Fields]?: Exclude<Fields[K], undefined> }
