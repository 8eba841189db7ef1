// The panel beside the map: the stage on view, the chosen number worked out, and all numbers as a picture.
function drawPanel(map, panel) {
  const { data, say, state } = map, stage = map.stages[state.stage]
  const focused = map.root.getRootNode().activeElement, kept = panel.contains(focused) ? focused?.dataset?.focus : null
  panel.replaceChildren()
  const head = make("div", "head", panel), name = make("div", "", head)
  make("div", "where", name, stage.layer === null ? say.outside : `${say.block} ${stage.layer + 1}`)
  make("h2", "", name, map.title(stage))
  const shape = make("div", "shape", head)
  stage.shape.forEach(([letter, size, color], i) => {
    if (i) shape.append("×")
    make("b", "", shape, `${letter} ${size.toLocaleString("en")}`).style.background = color
  })
  make("p", "about", panel, data.abouts[stage.kind])
  drawPicker(map, panel, stage)
  drawFormula(map, panel, stage)
  if (["logits", "probabilities"].includes(stage.kind)) drawWords(map, panel, stage)
  else if (stage.pairs) drawHeads(map, panel, stage)
  else drawGrid(map, panel, stage, 0, stage.columns)
  if (stage.stream) drawWords(map, panel, stage)
  if (data.moved) make("div", "readout", panel, say.moved)
  drawLinks(map, panel, stage)
  drawCode(map, panel, stage)
  if (state.other !== null) drawAgainst(map, panel, stage)
  if (kept) [...panel.querySelectorAll("[data-focus]")].find(one => one.dataset.focus === kept)?.focus({ preventScroll: true })
}

// Row, head and column as numbers to type.
function drawPicker(map, panel, stage) {
  const { say, state, data } = map, line = make("div", "picker", panel), column = map.column()
  const field = (label, value, low, high, act) => {
    const box = make("label", "", line, label), input = make("input", "", box)
    Object.assign(input, { type: "number", min: low, max: high, step: 1, value })
    input.dataset.focus = label
    input.onchange = () => { if (input.value !== "") act(clamp(Math.round(+input.value), low, high)) }
  }
  const n = map.tokens.length, before = data.before, head = Math.floor(column / stage.inner), inside = column % stage.inner
  field(stage.pairs ? say.query : say.token, state.token + 1 + before, before + 1, before + n, at => map.choose(state.stage, at - 1 - before, column))
  if (stage.groups > 1) field(say.head_field, head + 1, 1, stage.groups, at => map.choose(state.stage, state.token, (at - 1) * stage.inner + inside))
  const words = ["logits", "probabilities"].includes(stage.kind)
  field(stage.pairs ? say.key : words ? say.token_id : say.number_field, words ? inside : inside + 1, words ? 0 : 1, words ? stage.inner - 1 : stage.inner,
    at => map.choose(state.stage, state.token, head * stage.inner + at - (words ? 0 : 1)))
}

function drawFormula(map, panel, stage) {
  const { data, say, state } = map, box = make("div", "sum", panel), column = map.column()
  box.setAttribute("aria-live", "polite")
  make("span", "form", box, data.formulas[stage.kind])
  if (state.token < stage.computed) { make("div", "", box, state.token >= stage.first ? say.kept : say.spared); return }
  make("div", "cellname", box, cellName(map, stage, column))
  const numbers = map.numbers(stage, state.token, column)
  if (!numbers) {
    const value = stage.value(state.token, column)
    if (value !== undefined) make("b", "result", box, shown(value))
    make("div", "waiting", box, data.alone ? say.alone : say.waiting)
    return
  }
  Object.assign(box.dataset, { form: stage.form, token: state.token, column })
  const lines = formulaLines(map, stage, numbers), last = stage.form === "product" || stage.form === "scores" ? 0 : lines.length - 1
  lines.forEach((parts, i) => {
    const line = make("div", "line", box)
    parts.forEach((part, at) => {
      if (typeof part === "string") { line.append(part); return }
      const bare = !(part.value < 0) || !at || parts[at - 1].endsWith?.("(") || (i === 0 && parts[at - 1] === "")
      if (!bare) line.append("(")
      drawOperand(map, line, part)
      if (!bare) line.append(")")
    })
    if (i !== last) return
    line.append(" = ")
    make("b", "result", line, shown(numbers.at(-1)))
  })
  if (data.replaced.includes(stage.name)) make("div", "waiting", box, say.replaced)
}

function drawOperand(map, line, part) {
  const from = map.stages[part.to]
  if (!from || part.token < 0) { make("span", "weight", line, shown(part.value)); return }
  const one = map.button(shown(part.value), () => map.choose(from.index, part.token, part.column), line, "operand")
  one.title = `${map.path(from)}: ${map.tokens[part.token]}`
  one.dataset.focus = `operand ${line.childNodes.length}`
}

function drawLinks(map, panel, stage) {
  const line = make("div", "chips", panel)
  for (const [label, names] of [[map.say.from, stage.from], [map.say.to, stage.to]]) {
    if (names.length) make("span", "", line, label)
    names.forEach((name, i) => {
      const other = map.stages[map.places.get(name)]
      const one = map.button(other.layer === stage.layer ? map.title(other) : map.path(other), () => map.go(other.index), line)
      one.dataset.focus = label + i
    })
  }
}

function drawWords(map, panel, stage) {
  const { say, state } = map, rows = stage.said[state.token - stage.first]
  if (!rows) return
  make("div", "small", panel, stage.stream ? say.would : say.likely)
  const bars = make("div", "bars", panel), most = Math.max(...rows.map(row => row[1]))
  rows.forEach(([word, logit, p, id], i) => {
    if (stage.stream) make("div", "w", bars, word)
    else {
      const one = map.button(word, () => map.choose(state.stage, state.token, id), bars, id === map.column() ? "w on" : "w")
      one.dataset.focus = `word ${i}`
    }
    make("div", "fill", make("div", "track", bars)).style.width = 100 * (stage.kind === "logits" ? Math.max(0, logit / most) : p) + "%"
    make("div", "v", bars, stage.kind === "logits" ? shown(logit) : percent(p))
  })
}

function paint(canvas, stage, from, width) {
  const all = stage.values()
  canvas.width = width
  canvas.height = stage.rows
  const context = canvas.getContext("2d"), image = context.createImageData(width, stage.rows)
  for (let i = 0, at = 0; i < stage.rows; i += 1)
    for (let j = 0; j < width; j += 1, at += 4) {
      const value = all[i * stage.columns + from + j], [red, green, blue] = value >= 0 ? MORE : LESS
      image.data.set([red, green, blue, Number.isFinite(value) ? 255 * Math.min(1, Math.abs(value) / stage.scale) : 0], at)
    }
  context.putImageData(image, 0, 0)
}

// The numbers of a stage, or of one of its heads, as a picture: every cell can be chosen.
function drawGrid(map, panel, stage, from, width) {
  const { state, tokens, say } = map, offset = stage.first
  const frame = make("div", "picture", panel), labels = make("div", "rows", frame), cells = make("div", "cells", frame)
  const height = Math.max(6, Math.min(stage.pairs ? 24 : 20, 236 / stage.rows))
  cells.style.height = height * stage.rows + "px"
  for (let i = 0; i < stage.rows; i += 1) {
    const at = i + offset, name = at === state.token ? "on" : at === state.other ? "other" : ""
    make("div", name, labels, height >= 9 ? tokens[at] : "").style.height = height + "px"
  }
  paint(make("canvas", "", cells), stage, from, width)
  const heads = stage.pairs ? 1 : stage.groups
  for (let g = 1; g < heads; g += 1) make("div", "divider", cells).style.left = `${100 * g / heads}%`
  const outline = (name, r) => {
    if (r >= 0 && r < stage.rows) make("div", "frame " + name, cells).style.cssText = `top:${r * height}px;height:${height}px;left:0;right:0`
  }
  outline("", state.token - offset)
  if (state.other !== null) outline("other", state.other - offset)
  const chosen = stage.drawn(map.column()) - from
  if (chosen >= 0 && chosen < width && state.token >= offset)
    make("div", "frame point", cells).style.cssText = `top:${(state.token - offset) * height}px;height:${height}px;left:${100 * chosen / width}%;width:max(5px,${100 / width}%)`
  const readout = make("div", "readout", panel, say.hover)
  const under = event => {
    const box = cells.getBoundingClientRect()
    return [clamp(Math.floor((event.clientY - box.top) / box.height * stage.rows), 0, stage.rows - 1),
      clamp(Math.floor((event.clientX - box.left) / box.width * width), 0, width - 1)]
  }
  cells.onmousemove = event => {
    const [r, c] = under(event), column = stage.column(r, from + c)
    readout.textContent = `${cellName({ ...map, state: { ...state, token: r + offset } }, stage, column)}: ${shown(stage.values()[r * stage.columns + from + c])}`
  }
  cells.onmouseleave = () => { readout.textContent = say.hover }
  cells.onclick = event => {
    const [r, c] = under(event)
    map.choose(state.stage, r + offset, stage.column(r, from + c))
  }
  cells.tabIndex = 0
  cells.dataset.focus = "cells"
  cells.setAttribute("role", "application")
  cells.setAttribute("aria-label", fill(say.cells, { stage: map.path(stage) }))
  cells.onkeydown = event => {
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key]
    if (!move) return
    map.move(...move)
    event.preventDefault()
  }
}

function drawHeads(map, panel, stage) {
  const { say, state } = map, width = stage.columns / stage.groups
  if (!state.allHeads) {
    const head = Math.floor(map.column() / stage.inner), line = make("div", "chips", panel)
    make("b", "", line, fill(say.head, { head: head + 1 }))
    const all = map.button(say.all_heads, () => { state.allHeads = true; map.draw(); panel.querySelector(".tile")?.focus() }, line)
    all.dataset.focus = "all"
    return drawGrid(map, panel, stage, head * width, width)
  }
  const tiles = make("div", "tiles", panel)
  tiles.style.gridTemplateColumns = `repeat(${Math.min(stage.groups, stage.groups > 4 ? 4 : 2)}, minmax(0, 1fr))`
  for (let h = 0; h < stage.groups; h += 1) drawTile(map, tiles, stage, h, fill(say.head, { head: h + 1 }))
  make("div", "readout", panel, say.enlarge)
}

// One head's weights as a button: a click chooses the cell under the pointer, Enter opens the head.
function drawTile(map, parent, stage, h, label) {
  const { say, state } = map, width = stage.columns / stage.groups
  const one = map.button("", event => {
    const box = canvas.getBoundingClientRect(), byKey = event.detail === 0
    const row = byKey ? state.token - stage.first : clamp(Math.floor((event.clientY - box.top) / box.height * stage.rows), 0, stage.rows - 1)
    const inHead = byKey ? largestDrawn(stage, Math.max(0, row), h * width, (h + 1) * width) - h * width
      : clamp(Math.floor((event.clientX - box.left) / box.width * width), 0, width - 1)
    state.allHeads = false
    map.choose(stage.index, Math.max(0, row) + stage.first, stage.column(Math.max(0, row), h * width + inHead))
    map.panel.querySelector(".cells")?.focus({ preventScroll: true })
    map.box.scrollIntoView({ block: "nearest" })
  }, parent, "tile")
  one.setAttribute("aria-label", fill(say.open_head, { stage: map.path(stage), head: h + 1 }))
  const canvas = make("canvas", "", one)
  paint(canvas, stage, h * width, width)
  if (stage.rows !== width) canvas.style.aspectRatio = `${width} / ${Math.max(stage.rows, width / 6)}`
  make("span", "", one, label)
}

function drawCode(map, panel, stage) {
  const code = map.data.codes[stage.kind]
  make("div", "where", panel, fill(map.say.code, code))
  const pre = make("pre", "", panel)
  code.lines.forEach((line, i) => make("span", i === code.hot ? "hot" : "cool", pre, line || " "))
}

function drawAgainst(map, panel, stage) {
  const { state, tokens, say } = map, a = state.token - stage.first, b = state.other - stage.first
  if (a < 0 || b < 0) return
  const all = stage.values(), w = stage.columns
  let dot = 0, aa = 0, bb = 0, most = 0, where = 0
  for (let c = 0; c < w; c += 1) {
    const x = all[a * w + c], y = all[b * w + c]
    if (!Number.isFinite(x) || !Number.isFinite(y)) continue
    dot += x * y; aa += x * x; bb += y * y
    if (Math.abs(x - y) > most) { most = Math.abs(x - y); where = c }
  }
  make("div", "small", panel, fill(say.against, { one: tokens[state.token], other: tokens[state.other],
    cosine: shown(dot / Math.sqrt(aa * bb || 1)), most: shown(most), number: where + 1 }))
}

// All heads of all layers, side by side.
function drawWall(map, wall) {
  const layers = map.stages.filter(stage => stage.kind === "weights")
  if (!layers.length) return
  make("div", "small", wall, map.say.wall)
  const grid = make("div", "grid", wall), n = layers[0].groups
  grid.style.setProperty("--heads", n <= 4 ? 2 * n : n)
  grid.style.setProperty("--few", Math.min(n, 4))
  for (const stage of layers) for (let h = 0; h < stage.groups; h += 1) drawTile(map, grid, stage, h, `${stage.layer + 1}.${h + 1}`)
}
