// The OpenAPI document: valid by an independent judge, whole, and the one that the server serves.
import { Validator } from '@seriousme/openapi-schema-validator'
import { afterEach, describe, expect, it } from 'vitest'
import { openApiDocument } from '../../src/api/openapi.ts'
import { problems, type ProblemCode } from '../../src/wire/problems.ts'
import { allRoutes, closeAll, startApi } from '../support/api.ts'

afterEach(closeAll)

interface Operation {
  readonly operationId: string
  readonly parameters: readonly { readonly name: string; readonly in: string }[]
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: { readonly oneOf?: readonly unknown[] } }>> }
  readonly responses: Readonly<Record<string, { readonly description: string; readonly headers?: object }>>
  readonly security?: readonly unknown[]
}

const served = async () => {
  const api = await startApi()
  return (await api.get('/openapi.json')).body as ReturnType<typeof openApiDocument> & { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>> }
}

describe('the document', () => {
  it('is valid OpenAPI 3.1', async () => {
    const validator = new Validator()
    const result = await validator.validate(await served())
    expect(result).toEqual({ valid: true })
    expect(validator.version).toBe('3.1')
  })

  it('is served as it is written', async () => {
    expect(await served()).toEqual(JSON.parse(JSON.stringify(openApiDocument('0.0.0-test'))))
  })

  it('has every route with its parameters, bodies and answers', async () => {
    const { paths } = await served()
    expect(
      Object.values(paths)
        .flatMap((item) => Object.values(item).map((operation) => operation.operationId))
        .toSorted(),
    ).toEqual(allRoutes.map((route) => route.name).toSorted())
    for (const route of allRoutes) {
      const operation = paths[route.path]?.[route.method.toLowerCase()] as Operation
      const inPath = operation.parameters.filter((parameter) => parameter.in === 'path').map((parameter) => parameter.name)
      expect(inPath.toSorted()).toEqual([...route.path.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? '').toSorted())
      expect(operation.requestBody === undefined).toBe(route.body === undefined && !route.bytes)
      if (route.many) expect(operation.requestBody?.content['application/json']?.schema.oneOf).toHaveLength(2)
      if (route.bytes) expect(Object.keys(operation.requestBody?.content ?? {})).toEqual(['*/*'])
      for (const status of Object.keys(route.answers)) expect(operation.responses).toHaveProperty(status)
      for (const code of route.problems) expect(operation.responses[String(problems[code].status)]?.description).toContain(`\`${code}\``)
      expect(operation.security === undefined).toBe(route.roles !== 'anyone')
    }
  })

  it('has what an implementation node is called with, and what it may answer', async () => {
    const { webhooks, tags } = (await served()) as unknown as {
      readonly webhooks: Readonly<Record<string, Readonly<Record<string, Operation & { readonly tags: readonly string[] }>>>>
      readonly tags: readonly { readonly name: string }[]
    }
    const calls = Object.values(webhooks).flatMap((item) => Object.entries(item))
    expect(calls.map(([method, { operationId, responses }]) => [method, operationId, Object.keys(responses)])).toEqual([
      ['post', 'takeOperation', ['200', '202', '400', '403', '409', '422']],
      ['get', 'listOperations', ['200']],
      ['post', 'directOperation', ['200', '400', '404', '409']],
    ])
    expect(tags.map(({ name }) => name)).toEqual(expect.arrayContaining(calls.flatMap(([, operation]) => operation.tags)))
  })

  it('names every problem code somewhere', async () => {
    const text = JSON.stringify((await served()).paths)
    expect((Object.keys(problems) as ProblemCode[]).filter((code) => !text.includes(`\`${code}\``))).toEqual([])
  })

  it('refers to nothing that is not in it', async () => {
    const document = await served()
    const names = [...JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g)].map((match) => match[1] ?? '')
    expect(names.length).toBeGreaterThan(20)
    expect([...new Set(names)].filter((name) => !(name in document.components.schemas))).toEqual([])
  })
})
