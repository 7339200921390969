// The settings of a server as flags, for the commands that start one or look at its data; each takes those that matter to it.
import { Option, type Command } from 'commander'
import * as E from 'fp-ts/lib/Either.js'
import { CONFIG_FILE, describeProblems, loadConfig } from '../config.ts'
import { defaultText, settingNames, settings, type ServerConfig, type SettingName } from '../settings.ts'
import { usage } from './failure.ts'

export type ServerFlags = Readonly<Partial<Record<SettingName, string | boolean>>> & { readonly config?: string }

const optionOf = (name: SettingName): Option => {
  const { flag, placeholder, unit, what, form } = settings[name]
  const described = `${what} (${defaultText(name)}${unit === undefined || unit === placeholder ? '' : ` ${unit}`})`
  return new Option(form === 'flag' ? flag : `${flag} <${placeholder}>`, described)
}

/** Adds the flags of these settings, and the directory of the settings file. */
export const withSettings = (command: Command, names: readonly SettingName[] = settingNames): Command => {
  for (const name of names) command.addOption(optionOf(name))
  return command.option('--config <directory>', `where ${CONFIG_FILE} and apps/ with the queue files are (STINT_CONFIG, the working directory)`)
}

/** Where `stint.yaml` and the directory of apps are looked for. */
export const configDirectoryOf = (flags: ServerFlags): string => flags.config ?? process.env['STINT_CONFIG'] ?? '.'

/** The settings that flags, environment and file come to. Throws a usage failure that names every mistake and its place. */
export const configOf = (flags: ServerFlags): ServerConfig => {
  const texts = Object.fromEntries(settingNames.flatMap((name) => (flags[name] === undefined ? [] : [[name, String(flags[name])]])))
  const config = loadConfig({ flags: texts, env: process.env, directory: configDirectoryOf(flags) })
  if (E.isLeft(config)) throw usage(`The settings cannot be used.\n${describeProblems(config.left)}`, '`stint serve --help` lists them all.')
  return config.right
}

/** Every setting with its names, unit and default, for the end of the help and for the docs. */
export const settingsTable = (): string => {
  const rows = settingNames.map((name) => [name, settings[name].env, settings[name].unit ?? '', defaultText(name)])
  const titles = [`IN ${CONFIG_FILE}`, 'ENVIRONMENT', 'UNIT', 'DEFAULT']
  const widths = titles.map((title, index) => Math.max(title.length, ...rows.map((row) => row[index]?.length ?? 0)))
  const line = (cells: readonly string[]): string => `  ${cells.map((cell, index) => cell.padEnd(widths[index] ?? 0)).join('  ')}`.trimEnd()
  return [`\nSettings, each also as a flag (flags before environment before ${CONFIG_FILE} before defaults):`, line(titles), ...rows.map(line)].join('\n')
}
