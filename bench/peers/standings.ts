// What the comparison keeps, docs/performance/peers.json, and what follows from it: middles over the rounds, the best durable peer of a row, and Stint's ratio to it within each round.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { Machine, Versions } from '../machine.ts'
import { middleOf, type ResultRow } from '../results.ts'
import type { Aim, Row } from '../row.ts'
import type { About } from './adapter.ts'
import { kindOf, type LoadName, type RowKind } from './rows.ts'
import { OURS, type SystemName } from './systems.ts'

export interface Run {
  /** When it began, RFC 3339; its name. */
  readonly run: string
  readonly machine: Machine
  readonly versions: Versions
  readonly settings: { readonly rounds: number; readonly quick: boolean }
}

export type KeptSystem = About & { readonly versions: string }

/** One server and one client, thrown away afterwards: the rows of one load. */
export interface Cell {
  readonly run: string
  readonly round: number
  /** `floor`: what the platform allows without any of them. */
  readonly system: SystemName | 'floor'
  readonly load: LoadName | 'floor'
  /** RFC 3339, when it ended. */
  readonly measuredAt: string
  readonly rows: readonly Row[]
  /** Why there are none. */
  readonly error?: string
}

export interface Standings {
  readonly runs: readonly Run[]
  readonly systems: Readonly<Partial<Record<SystemName, KeptSystem>>>
  readonly cells: readonly Cell[]
}

export const NOTHING: Standings = { runs: [], systems: {}, cells: [] }

/** What an earlier run kept; nothing if there is none. */
export const readStandings = (file: URL): Standings => (existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Standings) : NOTHING)

/** One line for each cell, so that a difference can be read. */
export const writeStandings = (file: URL | string, { runs, systems, cells }: Standings): void => {
  const lines = (values: readonly unknown[]): string => values.map((each) => `    ${JSON.stringify(each)}`).join(',\n')
  const systemLines = Object.entries(systems).map(([name, system]) => `    ${JSON.stringify(name)}: ${JSON.stringify(system)}`)
  writeFileSync(file, `{\n  "runs": [\n${lines(runs)}\n  ],\n  "systems": {\n${systemLines.join(',\n')}\n  },\n  "cells": [\n${lines(cells)}\n  ]\n}\n`)
}

/** The earlier standings with what was measured now in its place: all rounds of a system's load are of one run. */
export const mergedStandings = (earlier: Standings, now: Standings): Standings => {
  const isNew = ({ system, load }: Cell): boolean => now.cells.some((cell) => cell.system === system && cell.load === load)
  const cells = [...earlier.cells.filter((cell) => !isNew(cell)), ...now.cells]
  const isUsed = ({ run }: Run): boolean => cells.some((cell) => cell.run === run)
  return { runs: [...earlier.runs, ...now.runs].filter(isUsed), systems: { ...earlier.systems, ...now.systems }, cells }
}

const cellsWith = ({ cells }: Standings, system: Cell['system'], row: string): readonly Cell[] =>
  cells.filter((cell) => cell.system === system && cell.rows.some((each) => each.row === row))

const rowIn = ({ rows }: Cell, row: string): Row | undefined => rows.find((each) => each.row === row)

/** A row of a system, the middle of its rounds; undefined when it has none. */
export const middle = (standings: Standings, system: Cell['system'], row: string): ResultRow | undefined =>
  middleOf(cellsWith(standings, system, row).map((cell) => cell.rows.filter((each) => each.row === row)))[0]

/** Names of the systems that have this row, ours first. */
export const systemsWith = (standings: Standings, row: string): readonly SystemName[] =>
  (Object.keys(standings.systems) as SystemName[]).filter((name) => middle(standings, name, row) !== undefined)

export interface Standing {
  readonly system: SystemName
  readonly row: ResultRow
}

/** The durable peer with the best middle. */
export const bestPeer = (standings: Standings, { row, isLessBetter }: RowKind): Standing | undefined => {
  const all = systemsWith(standings, row)
    .filter((name) => name !== OURS && standings.systems[name]?.isDurable === true)
    .map((system) => ({ system, row: middle(standings, system, row) as ResultRow }))
    .toSorted((a, b) => a.row.value - b.row.value)
  return isLessBetter ? all[0] : all.at(-1)
}

export interface Ratio {
  readonly middle: number
  readonly lowest: number
  readonly highest: number
}

/** How many times as good as a peer we are, within each round of a run that both were in: above 1 is better, whatever the unit. */
export const ratioTo = (standings: Standings, { row, isLessBetter }: RowKind, peer: SystemName): Ratio | undefined => {
  const theirs = cellsWith(standings, peer, row)
  const ratios = cellsWith(standings, OURS, row).flatMap((ours) => {
    const other = theirs.find(({ run, round }) => run === ours.run && round === ours.round)
    const [our, their] = [rowIn(ours, row)?.value, other === undefined ? undefined : rowIn(other, row)?.value]
    if (our === undefined || their === undefined) return []
    const ratio = isLessBetter ? their / our : our / their
    return Number.isFinite(ratio) ? [ratio] : []
  })
  const sorted = ratios.toSorted((a, b) => a - b)
  const [lowest, highest] = [sorted[0], sorted.at(-1)]
  // Of an even number the lower one of the two, as with the figures.
  const inTheMiddle = sorted[Math.floor((sorted.length - 1) / 2)]
  return lowest === undefined || highest === undefined || inTheMiddle === undefined ? undefined : { middle: inTheMiddle, lowest, highest }
}

/** What we are to reach in a row, which may depend on what others reached. */
export const aimOf = (standings: Standings, { aim }: RowKind, skeletonRow: string): Aim | undefined =>
  aim?.({
    stint: (row) => middle(standings, OURS, row)?.value,
    best: (row) => {
      const kind = kindOf(row)
      return kind === undefined ? undefined : bestPeer(standings, kind)?.row.value
    },
    skeleton: middle(standings, 'floor', skeletonRow)?.value,
  })

/** Why a system has no such row: it cannot, it failed, or nobody asked. */
export const reasonFor = ({ systems, cells }: Standings, system: SystemName, { load }: RowKind): string | undefined =>
  systems[system]?.cannot?.[load] ?? cells.find((cell) => cell.system === system && cell.load === load)?.error
