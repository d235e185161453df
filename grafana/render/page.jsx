// Draws one dashboard with Grafana's own components, from answers of Prometheus that were fetched before.
//
// window.picture is { dashboard, answers, start, end }: answers by panel id and refId. The panel plugins are no package,
// so what they do between data and component is done here, and the heat map is drawn by hand.
import React from 'react'
import { createRoot } from 'react-dom/client'
import { FieldType, createTheme, dateTime, fieldReducers, getDisplayProcessor, toDataFrame } from '@grafana/data'
import { BarGauge, BigValue, GlobalStyles, PanelChrome, PanelContextProvider, ThemeContext, TimeSeries } from '@grafana/ui'

const theme = createTheme({ colors: { mode: 'dark' } })
const { dashboard, answers, start, end } = window.picture
const WIDTH = 1440, GAP = 8, ROW = 30, CELL = (WIDTH - GAP) / 24
const CUSTOM = {
  drawStyle: 'line', lineInterpolation: 'linear', barAlignment: 0, axisPlacement: 'auto', axisColorMode: 'text',
  axisBorderShow: false, pointSize: 5, scaleDistribution: { type: 'linear' }, stacking: { mode: 'none', group: 'A' },
  hideFrom: { legend: false, tooltip: false, viz: false }, thresholdsStyle: { mode: 'off' },
}

function named(format, labels) {
  if (!format || format === '__auto') {
    const { __name__, job, ...rest } = labels
    return Object.values(rest).join(' ') || 'Value'
  }
  return format.replace(/{{\s*(\w+)\s*}}/g, (_, label) => labels[label] ?? '')
}

function configured(panel, name, custom) {
  const { defaults, overrides } = panel.fieldConfig
  const config = { ...defaults, custom: { ...custom, ...defaults.custom } }
  for (const { matcher, properties } of overrides) {
    if (matcher.id === 'byName' && matcher.options === name) {
      for (const { id, value } of properties) config[id] = value
    }
  }
  return config
}

/** All series of a panel, each as a frame with its display. */
function frames(panel, custom = CUSTOM) {
  const made = panel.targets.flatMap((target) => answers[panel.id][target.refId].map(({ metric, values }) => {
    const name = named(target.legendFormat, metric)
    const numbers = values.map(([, text]) => (Number.isFinite(Number(text)) ? Number(text) : null))
    return { name, times: values.map(([time]) => time * 1000), numbers }
  }))
  return made.map(({ name, times, numbers }, index) => {
    const frame = toDataFrame({ name, fields: [
      { name: 'Time', type: FieldType.time, values: times, config: {} },
      { name: 'Value', type: FieldType.number, values: numbers, config: { ...configured(panel, name, custom), displayName: name } },
    ] })
    const field = frame.fields[1]
    field.state = { displayName: name, seriesIndex: index }
    field.display = getDisplayProcessor({ field, theme })
    return frame
  })
}

const last = (frame) => {
  const field = frame.fields[1]
  const { lastNotNull } = fieldReducers.get('lastNotNull').reduce(field, true, true)
  return field.display(lastNotNull)
}

function Lines({ panel, width, height }) {
  const all = frames(panel)
  const range = { from: dateTime(start * 1000), to: dateTime(end * 1000), raw: { from: 'now-1h', to: 'now' } }
  return <TimeSeries frames={all} width={width} height={height} timeRange={range} timeZone="utc"
    legend={panel.options.legend} options={panel.options} />
}

function Numbers({ panel, width, height }) {
  const all = frames(panel)
  const each = width / Math.max(all.length, 1)
  return <div style={{ display: 'flex', width, height }}>{all.map((frame, index) => {
    const value = { ...last(frame), title: all.length > 1 ? frame.name : '' }
    const field = frame.fields[1]
    const sparkline = panel.options.graphMode === 'area' ? { y: { ...field, state: { ...field.state, range: undefined } }, x: frame.fields[0] } : undefined
    return <BigValue key={index} width={each} height={height} value={value} theme={theme} sparkline={sparkline}
      colorMode={panel.options.colorMode} graphMode={panel.options.graphMode} justifyMode="auto" textMode={all.length > 1 ? 'value_and_name' : 'value'} />
  })}</div>
}

function Bars({ panel, width, height }) {
  const all = frames(panel, {})
  const each = Math.min(44, (height - 4 * all.length) / all.length)
  return <div style={{ width, height }}>{all.map((frame, index) => {
    const field = frame.fields[1]
    return <div key={index} style={{ marginBottom: 4 }}><BarGauge width={width} height={each} theme={theme} field={field.config}
      display={field.display} value={{ ...last(frame), title: frame.name }} orientation="horizontal" displayMode="basic"
      namePlacement="auto" showUnfilled valueDisplayMode="color"
      alignmentFactors={{ title: 'the longest of the names', text: '100.00 %' }} /></div>
  })}</div>
}

/** Counts per bucket, from those of all buckets up to it. */
function Warmth({ panel, width, height }) {
  const bounds = answers[panel.id].A.map(({ metric, values }) => ({ le: Number(metric.le.replace('+Inf', 'Infinity')), values }))
  bounds.sort((one, other) => one.le - other.le)
  const times = [...new Set(bounds.flatMap(({ values }) => values.map(([time]) => time)))].sort((a, b) => a - b)
  const at = bounds.map(({ values }) => new Map(values.map(([time, text]) => [time, Number(text)])))
  const counts = bounds.map((_, row) => times.map((time) =>
    Math.max(0, (at[row].get(time) ?? 0) - (row ? at[row - 1].get(time) ?? 0 : 0))))
  const most = Math.max(...counts.flat(), 1e-9)
  const left = 62, bottom = 22, w = (width - left) / times.length, h = (height - bottom) / bounds.length
  const color = (count) => `rgba(255,152,48,${Math.sqrt(count / most)})`
  const label = (le) => (le === Infinity ? '+Inf' : le < 0.001 ? `${Math.round(le * 1e6)} µs` : le < 1 ? `${le * 1e3} ms` : `${le} s`)
  const style = { fill: theme.colors.text.secondary, fontSize: 11, fontFamily: theme.typography.fontFamily }
  return <svg width={width} height={height}>
    {counts.map((row, y) => row.map((count, x) => count > 0 && <rect key={`${x} ${y}`} x={left + x * w} width={Math.max(w - 1, 1)}
      y={height - bottom - (y + 1) * h} height={h - 1} fill={color(count)} />))}
    {bounds.map(({ le }, y) => <text key={y} x={left - 6} y={height - bottom - (y + 0.5) * h + 4} textAnchor="end" {...style}>{label(le)}</text>)}
    {times.filter((_, x) => x % Math.ceil(times.length / 8) === 0).map((time, index) => <text key={index} y={height - 6}
      x={left + times.indexOf(time) * w} {...style}>{new Date(time * 1000).toISOString().slice(11, 16)}</text>)}
  </svg>
}

function Grid({ panel }) {
  const names = panel.transformations[1].options.renameByName
  const cell = { padding: '6px 8px', borderBottom: `1px solid ${theme.colors.border.weak}`, textAlign: 'left' }
  const shown = getDisplayProcessor({ theme, field: { type: FieldType.number, config: panel.fieldConfig.defaults } })
  const text = (series, name) => {
    if (name !== 'Value') return series.metric[name]
    const { text, suffix = '' } = shown(Number(series.values.at(-1)[1]))
    return text + suffix
  }
  return <table style={{ width: '100%', fontSize: 13 }}>
    <thead><tr>{Object.values(names).map((name) => <th key={name} style={cell}>{name}</th>)}</tr></thead>
    <tbody>{answers[panel.id].A.map((series, index) => <tr key={index}>
      {Object.keys(names).map((name) => <td key={name} style={cell}>{text(series, name)}</td>)}</tr>)}</tbody>
  </table>
}

const KINDS = { timeseries: Lines, stat: Numbers, bargauge: Bars, heatmap: Warmth, table: Grid }

function Place({ panel }) {
  const { x, y, w, h } = panel.gridPos
  const box = { position: 'absolute', left: GAP + x * CELL, top: 56 + y * (ROW + GAP), width: w * CELL - GAP, height: h * (ROW + GAP) - GAP }
  if (panel.type === 'row') {
    return <div style={{ ...box, display: 'flex', alignItems: 'center', fontWeight: 500, fontSize: 16 }}>⌄&nbsp; {panel.title}</div>
  }
  const Kind = KINDS[panel.type]
  return <div style={box}><PanelChrome title={panel.title} width={box.width} height={box.height}>
    {(width, height) => <Kind panel={panel} width={width} height={height} />}
  </PanelChrome></div>
}

function Picture() {
  const bottom = Math.max(...dashboard.panels.map(({ gridPos: { y, h } }) => y + h))
  const time = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19)
  return <ThemeContext.Provider value={theme}><GlobalStyles />
    <PanelContextProvider value={{ eventsScope: 'picture', eventBus: { getStream: () => ({ subscribe: () => ({ unsubscribe() {} }), pipe: () => ({ subscribe: () => ({ unsubscribe() {} }) }) }), publish() {}, subscribe: () => ({ unsubscribe() {} }), removeAllListeners() {}, newScopedBus() { return this } } }}>
      <div id="whole" style={{ position: 'relative', width: WIDTH, height: 56 + bottom * (ROW + GAP) + GAP, background: theme.colors.background.canvas, color: theme.colors.text.primary }}>
        <div style={{ position: 'absolute', left: GAP, right: GAP, top: 14, display: 'flex', justifyContent: 'space-between' }}>
          <span style={{ fontSize: 20, fontWeight: 500 }}>{dashboard.title}</span>
          <span style={{ color: theme.colors.text.secondary }}>{time(start)} to {time(end)} UTC</span>
        </div>
        {dashboard.panels.map((panel) => <Place key={panel.id} panel={panel} />)}
      </div>
    </PanelContextProvider>
  </ThemeContext.Provider>
}

createRoot(document.getElementById('root')).render(<Picture />)
