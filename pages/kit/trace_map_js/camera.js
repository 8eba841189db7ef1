// What of the map is in view: from the whole model through a block, one of its halves and a stage to a cell.
const ZOOMS = ["model", "block", "part", "stage", "cell"]
const GLIDE = 420 // milliseconds

function viewOf(map, w, h) {
  const { at, state, tokens } = map, stage = map.stages[state.stage], n = tokens.length
  const inside = span => span.layer === stage.layer && (state.zoom === "block" || span.part === stage.part)
  let [y0, y1] = [-8, at.height], narrowest = 0
  if (state.zoom === "block" || state.zoom === "part") {
    const spans = at.parts.filter(inside), end = spans.at(-1).bottom
    y0 = spans[0].top - 8
    y1 = end + (stage.layer === null && end > at.foot - 60 ? FOOT : 8)
    narrowest = 20
  } else if (state.zoom !== "model") {
    y0 = at.y[state.stage] - 22
    y1 = at.y[state.stage] + at.h[state.stage] + (stage.kind === "weights" ? BAND : 22)
    narrowest = 84
  }
  const gutter = frameOf(map, { x0: 0, x1: 1, y0: 0, y1: 1 }, w, h).gutter, room = w - gutter - MARGIN
  const count = Math.max(Math.min(n, narrowest ? Math.max(1, room / narrowest) : n), Math.min(room / 110, 6))
  const x0 = count >= n ? 0 : clamp(state.token + 0.5 - count / 2, 0, n - count)
  return { x0, x1: x0 + count, y0, y1: Math.max(y1, y0 + 40) }
}

// Where one is, from the model down to the number: names with the zoom each of them leads to. The name of a stage
// shows all of its heads, that of a head only this one.
function crumbs(map) {
  const { say, state, tokens } = map, stage = map.stages[state.stage], out = [[say.model, "model"]]
  if (stage.layer !== null) out.push([`${say.block} ${stage.layer + 1}`, "block"], [map.part(stage), "part"])
  const column = map.column(), inner = stage.inner, head = Math.floor(column / inner) + 1
  const token = t => `${t + 1 + map.data.before} ${tokens[t] ?? ""}`.trim()
  out.push([map.title(stage), "stage", true])
  if (stage.groups > 1) out.push([fill(say.head, { head }), "stage", false])
  const inHead = column % inner
  out.push([stage.pairs ? fill(say.at_pair, { query: token(state.token), key: token(inHead - map.data.before) })
    : stage.kind === "logits" || stage.kind === "probabilities" ? fill(say.at_word, { token: token(state.token), word: map.word(stage, column) })
    : fill(say.at_number, { token: token(state.token), number: inHead + 1 }), "cell"])
  return out
}

function glide(from, to, began, now, at_once) {
  const u = at_once ? 1 : clamp((now - began) / GLIDE, 0, 1), e = 1 - (1 - u) ** 3, view = {}
  for (const side of ["x0", "x1", "y0", "y1"]) view[side] = from[side] + (to[side] - from[side]) * e
  return [view, u === 1]
}

// The deepest zoom: the numbers themselves around the chosen one, tokens downwards.
function numberTable(map, box, choose) {
  const { state, tokens, say } = map, stage = map.stages[state.stage]
  const wide = box.clientWidth < 480 ? 5 : 9, high = clamp(Math.floor((box.clientHeight - 40) / 34), 3, 24)
  const table = make("div", "numbers", null)
  const drawnInner = stage.columns / stage.groups, chosen = Math.max(0, stage.drawn(map.column()))
  const group = Math.floor(chosen / drawnInner) * drawnInner
  const from = clamp(chosen - (wide >> 1), group, Math.max(group, group + drawnInner - wide)), to = Math.min(from + wide, group + drawnInner)
  const top = clamp(state.token - (high >> 1), stage.first, Math.max(stage.first, tokens.length - high)), bottom = Math.min(tokens.length, top + high)
  table.style.gridTemplateColumns = `minmax(3.4rem, auto) repeat(${to - from}, minmax(0, 1fr))`
  make("div", "corner", table, stage.pairs ? say.query_key : "")
  const name = (row, c) => {
    const column = stage.column(row, c)
    return stage.pairs ? tokens[column % stage.inner - stage.hidden] : `${column % stage.inner + 1}`
  }
  for (let c = from; c < to; c += 1)
    make("div", c === chosen ? "column on" : "column", table,
      stage.bin > 1 ? `${c * stage.bin + 1}–${Math.min(stage.inner, (c + 1) * stage.bin)}` : name(0, c))
  for (let t = top; t < bottom; t += 1) {
    make("div", t === state.token ? "row on" : "row", table, tokens[t])
    for (let c = from; c < to; c += 1) {
      const row = t - stage.first, value = stage.values()[row * stage.columns + c]
      const cell = make("div", "value" + (t === state.token && c === chosen ? " chosen" : t === state.token || c === chosen ? " line" : ""), table, shown(value))
      if (Number.isFinite(value))
        cell.style.setProperty("--fill", `rgb(${(value >= 0 ? MORE : LESS).join(" ")} / ${(0.6 * Math.min(1, Math.abs(value) / stage.scale)).toFixed(2)})`)
      cell.onclick = () => choose(t, stage.column(row, c))
    }
  }
  return table
}
