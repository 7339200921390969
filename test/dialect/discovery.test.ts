// The discovery document and the list of APIs, as generic clients read them.
import { Discovery } from 'googleapis-common'
import { afterEach, describe, expect, it } from 'vitest'
import { schemas } from '../../src/api/dialect/schemas.ts'
import { closeAll, startApi } from '../support/api.ts'
import { openStage } from './stage.ts'

afterEach(closeAll)

const DOCUMENT = '/discovery/v1/apis/taskqueue/v1beta2/rest'

interface Document {
  readonly rootUrl: string
  readonly resources: Readonly<
    Record<string, { readonly methods: Readonly<Record<string, { readonly httpMethod: string; readonly path: string; readonly parameterOrder: readonly string[] }>> }>
  >
  readonly schemas: typeof schemas
}

const read = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<Document> => (await fetch(url, { headers })).json() as Promise<Document>

describe('the discovery document', () => {
  it('names the server as it was asked for', async () => {
    const { url } = await startApi()
    const document = await read(url + DOCUMENT)
    expect(document).toMatchObject({
      kind: 'discovery#restDescription',
      id: 'taskqueue:v1beta2',
      protocol: 'rest',
      rootUrl: `${url}/`,
      servicePath: 'taskqueue/v1beta2/projects/',
      baseUrl: `${url}/taskqueue/v1beta2/projects/`,
    })
    expect((await read(url + DOCUMENT, { 'X-Forwarded-Proto': 'https' })).rootUrl).toBe(`${url.replace('http:', 'https:')}/`)
  })

  it('has the eight methods, each with its path, its verb and its parameters in order', async () => {
    const { url } = await startApi()
    const { resources } = await read(url + DOCUMENT)
    const methods = Object.entries(resources).flatMap(([resource, { methods: inIt }]) =>
      Object.entries(inIt).map(([name, { httpMethod, path, parameterOrder }]) => `${resource}.${name}: ${httpMethod} ${path} (${parameterOrder.join(', ')})`),
    )
    const task = '{project}/taskqueues/{taskqueue}/tasks/{task}'
    expect(methods.toSorted()).toEqual([
      'taskqueues.get: GET {project}/taskqueues/{taskqueue} (project, taskqueue)',
      `tasks.delete: DELETE ${task} (project, taskqueue, task)`,
      `tasks.get: GET ${task} (project, taskqueue, task)`,
      'tasks.insert: POST {project}/taskqueues/{taskqueue}/tasks (project, taskqueue)',
      'tasks.lease: POST {project}/taskqueues/{taskqueue}/tasks/lease (project, taskqueue, numTasks, leaseSecs)',
      'tasks.list: GET {project}/taskqueues/{taskqueue}/tasks (project, taskqueue)',
      `tasks.patch: PATCH ${task} (project, taskqueue, task, newLeaseSeconds)`,
      `tasks.update: POST ${task} (project, taskqueue, task, newLeaseSeconds)`,
    ])
  })

  it('refers to no schema that it does not have, and types each field', async () => {
    const { url } = await startApi()
    const document = await read(url + DOCUMENT)
    const referred = [...JSON.stringify(document).matchAll(/"\$ref":"(\w+)"/g)].map((match) => match[1])
    expect(new Set(referred)).toEqual(new Set(['Task', 'TaskQueue', 'Tasks', 'Tasks2']))
    expect(document.schemas).toEqual(schemas)
    expect(document.schemas.Task.properties.leaseTimestamp).toMatchObject({ type: 'string', format: 'int64' })
    expect(document.schemas.Task.properties.retry_count).toMatchObject({ type: 'integer', format: 'int32' })
  })

  it('is there without a token, and no other verb is', async () => {
    const { url } = await openStage()
    expect((await fetch(url + DOCUMENT)).status).toBe(200)
    const posted = await fetch(url + DOCUMENT, { method: 'POST' })
    expect([posted.status, posted.headers.get('allow')]).toEqual([405, 'GET'])
  })
})

describe('the list of APIs', () => {
  it('has this one, and tells where its document is', async () => {
    const { url } = await startApi()
    expect(await read(`${url}/discovery/v1/apis`)).toMatchObject({
      kind: 'discovery#directoryList',
      items: [{ id: 'taskqueue:v1beta2', name: 'taskqueue', version: 'v1beta2', discoveryRestUrl: url + DOCUMENT, preferred: true }],
    })
  })

  it('is enough for a client that discovers everything there is', async () => {
    const { url } = await startApi()
    const apis = await new Discovery({ debug: false, includePrivate: false }).discoverAllAPIs(`${url}/discovery/v1/apis`)
    expect(Object.keys(apis)).toEqual(['taskqueue'])
  })
})
