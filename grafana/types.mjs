// Holds the dashboards against the types that Grafana publishes: @grafana/schema, by the TypeScript compiler.
//
//   node grafana/types.mjs NODE_MODULES FILE.json…
//
// Each dashboard becomes a literal of type Dashboard, the options and the field settings of each panel a literal of its
// panel's own types, so an unknown or misspelt member is an error. Ends with 1 and the compiler's words when there is one.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import path from 'node:path'

const [modules, ...files] = process.argv.slice(2)
const require = createRequire(path.resolve(modules, 'x'))
const ts = require('typescript')

// A string of JSON is no member of a TypeScript enum, though it is its value.
const HEAD = `import type { AnnotationQuery, Dashboard, DataSourceRef } from '@grafana/schema'
type Values<T> = T extends string ? \`\${T}\` : T extends (infer E)[] ? Values<E>[]
  : T extends object ? { [K in keyof T]: Values<T[K]> } : T
// Prometheus keeps the query of an annotation beside what all data sources have.
type Annotated = { annotations: { list: (Values<AnnotationQuery> & { expr: string })[] } }
`
const CONFIGURATIONS = {
  bargauge: ['BarGauge', 'Options', ''],
  heatmap: ['Heatmap', 'Options', 'FieldConfig'],
  stat: ['Stat', 'Options', ''],
  table: ['Table', 'Options', ''],
  timeseries: ['TimeSeries', 'Options', 'FieldConfig'],
}

function configuration(kind) {
  const [name] = CONFIGURATIONS[kind]
  const file = `@grafana/schema/dist/esm/raw/composable/${kind}/panelcfg/x/${name}PanelCfg_types.gen`
  return `import type * as ${kind} from '${file}'\n`
}

function source(dashboard) {
  const parts = [HEAD, ...Object.keys(CONFIGURATIONS).map(configuration)]
  parts.push(`export const dashboard: Values<Omit<Dashboard, 'annotations'>> & Annotated = ${JSON.stringify(dashboard, null, 1)}\n`)
  for (const panel of dashboard.panels.filter((panel) => panel.type !== 'row')) {
    const known = CONFIGURATIONS[panel.type]
    if (!known) throw new Error(`"${panel.title}" is of a kind without types: ${panel.type}`)
    const [, options, custom] = known
    parts.push(`export const options_${panel.id}: Values<Partial<${panel.type}.${options}>> = ${JSON.stringify(panel.options ?? {})}\n`)
    if (custom) {
      parts.push(`export const custom_${panel.id}: Values<${panel.type}.${custom}> = ${JSON.stringify(panel.fieldConfig.defaults.custom ?? {})}\n`)
    }
    for (const target of panel.targets) {
      parts.push(`export const source_${panel.id}_${target.refId}: DataSourceRef = ${JSON.stringify(target.datasource)}\n`)
    }
  }
  return parts.join('')
}

const texts = new Map(files.map((file) => {
  const name = path.resolve(modules, '..', `${path.basename(file, '.json')}.check.ts`)
  return [name, source(JSON.parse(readFileSync(file, 'utf8')))]
}))
const options = {
  noEmit: true, strict: true, skipLibCheck: true, types: [], lib: ['lib.es2022.d.ts', 'lib.dom.d.ts'],
  target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ESNext, moduleResolution: ts.ModuleResolutionKind.Bundler,
}
const host = ts.createCompilerHost(options)
const { readFile, fileExists, getSourceFile } = host
host.readFile = (name) => texts.get(name) ?? readFile(name)
host.fileExists = (name) => texts.has(name) || fileExists(name)
host.getSourceFile = (name, ...rest) => texts.has(name)
  ? ts.createSourceFile(name, texts.get(name), options.target) : getSourceFile(name, ...rest)
const program = ts.createProgram([...texts.keys()], options, host)
const found = ts.getPreEmitDiagnostics(program)
if (found.length > 0) {
  console.error(ts.formatDiagnostics(found, { getCanonicalFileName: (name) => name, getCurrentDirectory: () => '', getNewLine: () => '\n' }))
  process.exit(1)
}
console.log(`${texts.size} dashboards are as @grafana/schema says`)
