// The numbers of a pass as they reach the browser, and how they are written.
const PAIRS = ["scores", "masked_scores", "weights"] // stages with a number for each query and key

const shown = value => value === null || !Number.isFinite(value) ? "−∞" : (Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
  ? value.toExponential(2) : Number(value.toPrecision(3)).toString()).replaceAll("-", "−")
const percent = p => p >= 0.9995 ? "100%" : p < 0.001 ? "<0.1%" : (100 * p).toFixed(p < 0.0995 ? 1 : 0) + "%"
const fill = (text, given) => text.replace(/\{(\w+)\}/g, (_, name) => given[name])
const clamp = (x, low, high) => Math.max(low, Math.min(high, x))

function bytes(text) {
  return Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer
}

function halves(text) {
  const words = new Uint16Array(bytes(text)), out = new Float32Array(words.length)
  for (let i = 0; i < words.length; i += 1) {
    const h = words[i], e = (h >> 10) & 31, f = h & 1023
    out[i] = (h >> 15 ? -1 : 1) * (e === 31 ? (f ? NaN : Infinity) : e ? 2 ** (e - 15) * (1 + f / 1024) : 2 ** -14 * (f / 1024))
  }
  return out
}

// The stages with what the browser needs to know of their columns. A column counts all numbers of a row, head after
// head; a drawn column is one of those that were sent, which for wide or long stages are not all.
function readStages(data) {
  let part = "attention"
  return data.stages.map((sent, index) => {
    let values = null, sources = null
    if (sent.layer !== data.stages[index - 1]?.layer) part = "attention"
    else if (data.stages[index - 1].kind.startsWith("after_attention") && !sent.kind.startsWith("after_")) part = "feedforward"
    const inner = sent.shape.at(-1)[1], drawnInner = sent.columns / sent.groups
    const pairs = PAIRS.includes(sent.kind), hidden = pairs ? inner - drawnInner : 0
    const stage = {
      ...sent, index, part, inner, pairs, hidden,
      first: data.tokens.length - sent.rows,
      computed: data.tokens.length - sent.numbers.length,
      width: inner * sent.groups,
      values: () => values ??= halves(sent.values),
      drawn(column) {
        if (!pairs) return Math.floor(column / sent.bin)
        const key = column % inner - hidden
        return key < 0 ? -1 : Math.floor(column / inner) * drawnInner + key
      },
      column(row, drawn) {
        if (pairs) return Math.floor(drawn / drawnInner) * inner + hidden + drawn % drawnInner
        if (sent.bin === 1) return drawn
        sources ??= new Uint16Array(bytes(sent.sources))
        return drawn * sent.bin + sources[row * sent.columns + drawn]
      },
      value(token, column) {
        const row = token - stage.first, drawn = stage.drawn(column)
        if (row < 0 || drawn < 0 || stage.column(row, drawn) !== column) return undefined
        return stage.values()[row * sent.columns + drawn]
      },
      main: token => sent.numbers[token - stage.computed]?.[0] ?? 0,
    }
    return stage
  })
}

// Of the drawn columns from `from` to `to` of a row, the one with the largest absolute number.
function largestDrawn(stage, row, from, to) {
  const values = stage.values()
  let best = from
  for (let c = from; c < Math.min(to, stage.columns); c += 1)
    if (Number.isFinite(values[row * stage.columns + c]) && Math.abs(values[row * stage.columns + c]) > Math.abs(values[row * stage.columns + best])) best = c
  return best
}
