// `stint audit`: what was refused, and to whom, for administrators.
import type { Command } from 'commander'
import { listAudit, type AuditedRefusal } from '../wire/audit.ts'
import { action, countFlag, type Context } from './context.ts'
import { examples } from './help.ts'
import { printList } from './output.ts'
import type { Column } from './terminal/table.ts'

const columns: readonly Column<AuditedRefusal>[] = [
  { title: 'TIME', value: (refusal) => refusal.refusedAt, whole: true },
  { title: 'CODE', value: (refusal) => refusal.code, whole: true },
  { title: 'WHO', value: (refusal) => refusal.actor },
  { title: 'ROUTE', value: (refusal) => refusal.route },
  { title: 'TARGET', value: (refusal) => refusal.target },
  { title: 'WHY', value: (refusal) => refusal.detail },
]

interface Options {
  readonly day?: string
  readonly code?: string
  readonly limit: number
  readonly after?: string
}

const list = async (context: Context, { day, code, limit, after }: Options): Promise<void> => {
  const page = await context.http.call(listAudit, { query: { day, code, limit, after } })
  printList(context, page, columns, `Nothing ${code === undefined ? '' : `with the code ${code} `}was refused on ${page.day}. --day looks at another day.`)
}

export const addAudit = (program: Command): void => {
  const audit = program.command('audit').description('what was refused, and to whom: list')
  audit.addHelpText('after', examples('stint audit list', 'stint audit list --day 2026-01-31'))
  audit
    .command('list')
    .description('refusals of a day, newest first')
    .option('--day <day>', 'a day in UTC, for instance 2026-01-31 (today)')
    .option('--code <code>', 'only refusals with this code: forbidden, unauthenticated')
    .option('--limit <count>', 'at most so many', countFlag(1, 1_000), 100)
    .option('--after <cursor>', 'go on behind the page before')
    .action(action(list))
    .addHelpText('after', examples('stint audit list', 'stint audit list --day 2026-01-31 --code unauthenticated -o jsonl'))
}
