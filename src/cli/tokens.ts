// `stint tokens`: who may call the server, for servers that are started with `--auth tokens`.
import type { Command } from 'commander'
import type * as t from 'io-ts'
import { roles, type Role } from '../wire/route.ts'
import { addToken, listTokens, revokeToken, type tokenEntry } from '../wire/service.ts'
import { action, durationFlag, wordsFlag, type Context } from './context.ts'
import { formatAge } from './duration.ts'
import { examples } from './help.ts'
import { printList, printOne } from './output.ts'
import type { Column } from './terminal/table.ts'

type TokenEntry = t.TypeOf<typeof tokenEntry>

interface AddOptions {
  readonly name: string
  readonly email: string
  readonly role: readonly Role[]
  readonly expires?: number
}

const statusAt = (entry: TokenEntry, now: number): string => {
  if (entry.revokedAt !== undefined) return 'revoked'
  return entry.expiresAt !== undefined && Date.parse(entry.expiresAt) <= now ? 'expired' : 'valid'
}

const columnsAt = (now: number): readonly Column<TokenEntry>[] => [
  { title: 'ID', value: (entry) => entry.id, whole: true },
  { title: 'NAME', value: (entry) => entry.name },
  { title: 'EMAIL', value: (entry) => entry.email },
  { title: 'ROLES', value: (entry) => entry.roles.join(', ') },
  { title: 'STATUS', value: (entry) => statusAt(entry, now), colour: (entry) => (statusAt(entry, now) === 'valid' ? 'green' : 'gray'), whole: true },
  { title: 'EXPIRES', value: (entry) => entry.expiresAt, whole: true },
  { title: 'AGE', value: (entry) => formatAge(entry.createdAt, now), align: 'right', whole: true },
]

const add = async (context: Context, { name, email, role, expires }: AddOptions): Promise<void> => {
  const made = await context.http.call(addToken, { body: { name, email, roles: [...new Set(role)], ...(expires === undefined ? {} : { expiresSeconds: expires / 1_000 }) } })
  if (context.format !== 'table') return printOne(context, made, [])
  context.out(made.token)
  context.say(`Token ${made.id} of ${made.email} (${made.roles.join(', ')}). It is shown this once: keep it, or set STINT_TOKEN to it.`)
}

const list = async (context: Context): Promise<void> => {
  const { items } = await context.http.call(listTokens)
  printList(context, { items }, columnsAt(context.world.now()), 'There are no tokens. `stint tokens add --name ci --email ci@example.com --role producer` makes one.')
}

const revoke = async (context: Context, _options: unknown, id: string): Promise<void> => {
  await context.confirm(`Revoke token ${id}? Whoever uses it is refused from now on.`)
  const entry = await context.http.call(revokeToken, { params: { id } })
  if (context.format === 'table') context.out(`${entry.id}  revoked`)
  else printOne(context, entry, [])
}

export const addTokens = (program: Command): void => {
  const tokens = program.command('tokens').description('who may call the server: add, list, revoke')
  const rolesFlag = (text: string, before: readonly Role[] = []): readonly Role[] => [...before, ...wordsFlag(roles)(text)]
  tokens.addHelpText('after', examples('stint tokens add --name ci --email ci@example.com --role producer,viewer', 'stint tokens list'))
  tokens
    .command('add')
    .description('make a token; its secret is printed this once')
    .requiredOption('--name <name>', 'what it is for')
    .requiredOption('--email <email>', 'whom it stands for')
    .requiredOption('--role <roles>', `what it may do, may be repeated: ${roles.join(', ')}`, rolesFlag)
    .option('--expires <duration>', 'after 30d, 12h … (never)', durationFlag)
    .action(action(add))
    .addHelpText(
      'after',
      examples('stint tokens add --name index --email index@example.com --role jobServer', 'stint tokens add --name ann --email ann@example.com --role admin --expires 90d'),
    )
  tokens.command('list').description('list tokens, without their secrets').action(action(list)).addHelpText('after', examples('stint tokens list'))
  tokens
    .command('revoke')
    .description('revoke a token at once')
    .argument('<id>', 'id of the token')
    .action(action(revoke))
    .addHelpText('after', examples('stint tokens revoke 0197a4d2b1c3'))
}
