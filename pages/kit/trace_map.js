// Walks over the map that Python has drawn. Everything a step needs is here already: a step asks for nothing.
const known = new WeakMap()
const SVG = "http://www.w3.org/2000/svg"
const REST = 450 // milliseconds at one place before the page is told
const PACE = 1100
const MORE = [42, 134, 196], LESS = [213, 94, 0]

export default function traceMap({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".trace-map")
  let map = known.get(root)
  if (!map || map.id !== data.id) {
    map?.stop()
    map = build(root, data, map, setStateValue)
    known.set(root, map)
  } else if (map.asked !== data.asked) {
    map.asked = data.asked
    map.go(data.at.stage, data.at.token, data.at.other, true)
  }
  return () => map.stop()
}

function make(tag, name, parent, text) {
  const element = document.createElement(tag)
  if (name) element.className = name
  if (text !== undefined) element.textContent = text
  parent?.append(element)
  return element
}

const shown = value => value === null || !Number.isFinite(value) ? "−∞" : (Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
  ? value.toExponential(2) : Number(value.toPrecision(3)).toString()).replace("-", "−")
const percent = p => p >= 0.9995 ? "100%" : p < 0.001 ? "<0.1%" : (100 * p).toFixed(p < 0.0995 ? 1 : 0) + "%"
const fill = (text, given) => text.replace(/\{(\w+)\}/g, (_, name) => given[name])

function halves(text) {
  const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0))
  const words = new Uint16Array(bytes.buffer), out = new Float32Array(words.length)
  for (let i = 0; i < words.length; i += 1) {
    const h = words[i], e = (h >> 10) & 31, f = h & 1023
    out[i] = (h >> 15 ? -1 : 1) * (e === 31 ? (f ? NaN : Infinity) : e ? 2 ** (e - 15) * (1 + f / 1024) : 2 ** -14 * (f / 1024))
  }
  return out
}

function build(root, data, before, setStateValue) {
  const { stages, tokens, say } = data
  const places = new Map(stages.map((stage, i) => [stage.name, i]))
  const numbers = stages.map(() => null)
  const values = i => numbers[i] ??= halves(stages[i].values)
  const first = stage => tokens.length - stage.rows
  const title = stage => data.titles[stage.kind]
  const path = stage => stage.layer === null ? title(stage) : `${say.layer} ${stage.layer + 1}, ${title(stage)}`
  const state = { stage: 0, token: 0, other: null, head: null, point: null }
  let playing = 0, resting = 0

  root.replaceChildren()
  // The bar: play, step, jump, tokens.
  const bar = make("div", "bar", root)
  const button = (text, act, parent, name = "") => {
    const one = make("button", name, parent, text)
    one.type = "button"
    one.onclick = act
    return one
  }
  const back = button(say.back, () => step(-1), bar)
  const play = button(say.play, () => playing ? pause() : start(), bar, "play")
  const next = button(say.next, () => step(1), bar)
  const range = make("input", "", bar)
  Object.assign(range, { type: "range", min: 0, max: stages.length - 1, step: 1, oninput: () => go(+range.value) })
  range.setAttribute("aria-label", say.jump)
  const count = make("span", "count", bar)
  const choose = (label, empty, act) => {
    const box = make("label", "", bar, label)
    const list = make("select", "", box)
    if (empty) make("option", "", list, empty).value = ""
    tokens.forEach((token, i) => { make("option", "", list, `${i + 1 + data.before} ${token}`).value = i })
    list.onchange = () => act(list.value === "" ? null : +list.value)
    return list
  }
  const follow = choose(say.follow, "", i => go(state.stage, i))
  const compare = choose(say.compare, say.nobody, i => go(state.stage, state.token, i))

  // The map, and the marks that move over it.
  const two = make("div", "two", root), box = make("div", "mapbox", two)
  box.innerHTML = data.svg
  const svg = box.querySelector("svg")
  Object.entries({ tabindex: 0, role: "grid", "aria-rowcount": stages.length, "aria-colcount": tokens.length, "aria-label": say.map })
    .forEach(([name, value]) => box.setAttribute(name, value))
  svg.setAttribute("role", "row")
  svg.removeAttribute("aria-label")
  const mark = name => {
    const one = document.createElementNS(SVG, "rect")
    one.setAttribute("class", name)
    svg.insertBefore(one, svg.querySelector(".gutter"))
    return one
  }
  const place = (one, x, y, width, height) =>
    Object.entries({ x, y, width, height }).forEach(([name, value]) => one.setAttribute(name, value))
  const column = mark("mark-column"), second = mark("mark-column other"), row = mark("mark-row"), cell = mark("mark-cell")
  cell.id = "cell"
  cell.setAttribute("role", "gridcell")
  box.setAttribute("aria-activedescendant", "cell")
  const top = stages[0].y - 4, bottom = stages.at(-1).y + stages.at(-1).h + 2
  const under = event => {
    const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse())
    const token = Math.max(0, Math.min(tokens.length - 1, Math.floor((at.x - data.x) / data.column)))
    const onName = at.x < data.x + box.scrollLeft * svg.viewBox.baseVal.width / svg.getBoundingClientRect().width
    let stage = 0
    stages.forEach((one, i) => { if (at.y >= one.y - 1) stage = i })
    return { stage, token: onName ? state.token : token } // a click on a name keeps the token
  }
  box.onclick = event => {
    const { stage, token } = under(event)
    pause()
    if (event.shiftKey) go(stage, state.token, token); else go(stage, token)
  }
  box.onmousemove = event => {
    const { stage, token } = under(event)
    box.title = `${path(stages[stage])}: ${tokens[token]}`
  }
  box.onkeydown = event => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }
    const move = moves[event.key]
    if (move) go(state.stage + move[0], state.token + move[1])
    else if (event.key === "Home") go(0)
    else if (event.key === "End") go(stages.length - 1)
    else if (event.key === "PageUp") leap(-1)
    else if (event.key === "PageDown") leap(1)
    else if (event.key === " ") playing ? pause() : start()
    else if (event.key === "Enter") (panel.querySelector(".cells, .tile") ?? panel).focus()
    else return
    if (event.key !== " ") pause()
    event.preventDefault()
  }
  // Names and tokens stay in sight while the map moves under them.
  const gutter = svg.querySelector(".gutter"), header = svg.querySelector(".header")
  box.onscroll = () => {
    const size = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width || 1
    gutter.setAttribute("transform", `translate(${box.scrollLeft / size} 0)`)
    header.setAttribute("transform", `translate(0 ${box.scrollTop / size})`)
  }
  const leap = by => {
    const streams = stages.map((stage, i) => stage.stream ? i : -1).filter(i => i >= 0)
    go(by > 0 ? streams.find(i => i > state.stage) ?? stages.length - 1 : streams.findLast(i => i < state.stage) ?? 0)
  }

  const panel = make("div", "panel", two)
  panel.tabIndex = -1
  panel.setAttribute("aria-label", say.panel)
  panel.setAttribute("role", "region")
  panel.onkeydown = event => { if (event.key === "Escape") { state.head = null; draw(); box.focus() } }
  const wall = make("div", "wall", root), live = make("div", "hidden", root)
  live.setAttribute("aria-live", "polite")

  // What is on view, and what changes it.
  function go(stage, token = state.token, other = state.other, quiet = false) {
    if (typeof stage === "string") stage = places.get(stage) ?? 0
    const was = state.stage
    state.stage = Math.max(0, Math.min(stages.length - 1, stage))
    state.token = Math.max(0, Math.min(tokens.length - 1, token))
    state.other = other === state.token ? null : other
    state.point = null
    if (stages[was].kind !== stages[state.stage].kind && !perHead(stages[state.stage])) state.head = null
    draw()
    clearTimeout(resting)
    if (!quiet && !playing) rest()
  }
  const rest = () => { resting = setTimeout(() => setStateValue("look", look()), REST) }
  const look = () => ({ stage: stages[state.stage].name, token: state.token, other: state.other })
  const step = by => { pause(); go(state.stage + by) }
  function start() {
    if (state.stage === stages.length - 1) go(0)
    playing = setInterval(() => state.stage < stages.length - 1 ? go(state.stage + 1) : pause(), PACE)
    play.textContent = say.pause
  }
  function pause() {
    if (!playing) return
    clearInterval(playing)
    playing = 0
    play.textContent = say.play
    rest()
  }
  const perHead = stage => ["scores", "masked_scores", "weights"].includes(stage.kind)

  // Drawing.
  function draw() {
    const stage = stages[state.stage], began = performance.now()
    place(column, data.x + data.column * state.token, top, data.column, bottom - top)
    second.style.display = state.other === null ? "none" : ""
    if (state.other !== null) place(second, data.x + data.column * state.other, top, data.column, bottom - top)
    place(row, data.x, stage.y - 1, data.column * tokens.length, stage.h + 2)
    place(cell, data.x + data.column * state.token, stage.y - 1.5, data.column, stage.h + 3)
    cell.setAttribute("aria-rowindex", state.stage + 1)
    cell.setAttribute("aria-colindex", state.token + 1)
    cell.setAttribute("aria-label", `${path(stage)}, ${tokens[state.token]}`)
    svg.querySelectorAll(".curves").forEach(one => one.classList.toggle("on", +one.dataset.t === state.token))
    svg.querySelectorAll(".token").forEach((one, i) => {
      one.classList.toggle("on", i === state.token || i === state.other)
      one.classList.toggle("other", i === state.other)
    })
    reveal()
    back.disabled = state.stage === 0
    next.disabled = state.stage === stages.length - 1
    range.value = state.stage
    range.setAttribute("aria-valuetext", path(stage))
    count.textContent = fill(say.count, { at: state.stage + 1, of: stages.length })
    follow.value = state.token
    compare.value = state.other ?? ""
    open(stage)
    live.textContent = `${path(stage)}, ${tokens[state.token]}`
    root.dataset.milliseconds = (performance.now() - began).toFixed(1)
    root.dataset.stage = stage.name
  }
  function reveal() {
    const size = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width || 1, stage = stages[state.stage]
    const y = stage.y * size, x = (data.x + data.column * state.token) * size
    const far = (at, from, length, before, after) => at < from + before || at > from + length - after
    const to = {}
    if (far(y, box.scrollTop, box.clientHeight, 90 * size, 60)) to.top = y - box.clientHeight / 2
    if (far(x, box.scrollLeft, box.clientWidth, data.x * size, 30)) to.left = x - (box.clientWidth + data.x * size) / 2
    if ("top" in to || "left" in to) box.scrollTo({ ...to, behavior: "auto" })
  }

  function open(stage) {
    const kept = panel.contains(parentRoot().activeElement) ? parentRoot().activeElement?.dataset?.focus : null
    panel.replaceChildren()
    const head = make("div", "head", panel), name = make("div", "", head)
    make("div", "where", name, stage.layer === null ? say.outside : `${say.layer} ${stage.layer + 1}`)
    make("h3", "", name, title(stage))
    const shape = make("div", "shape", head)
    stage.shape.forEach(([letter, size, color], i) => {
      if (i) shape.append("×")
      const chip = make("b", "", shape, `${letter} ${size.toLocaleString("en")}`)
      chip.style.background = color
    })
    make("p", "about", panel, data.abouts[stage.kind])
    chips(stage)
    if (stage.said.length) words(stage)
    if (!["logits", "probabilities"].includes(stage.kind)) picture(stage)
    if (data.moved) make("div", "readout", panel, say.moved)
    sum(stage)
    code(stage)
    if (state.other !== null) against(stage)
    if (kept) [...panel.querySelectorAll("[data-focus]")].find(one => one.dataset.focus === kept)?.focus()
  }
  const parentRoot = () => root.getRootNode()

  function chips(stage) {
    const line = make("div", "chips", panel)
    for (const [label, names] of [[say.from, stage.from], [say.to, stage.to]]) {
      if (names.length) make("span", "", line, label)
      names.forEach((name, i) => {
        const other = stages[places.get(name)]
        const one = button(other.layer === stage.layer ? title(other) : path(other), () => { pause(); go(name) }, line)
        one.dataset.focus = label + i
      })
    }
  }

  function words(stage) {
    const rows = stage.said[state.token - first(stage)]
    if (!rows) return
    make("div", "small", panel, stage.stream ? say.would : say.likely)
    const bars = make("div", "bars", panel)
    for (const [word, logit, share] of rows) {
      make("div", "w", bars, word)
      const size = stage.kind === "logits" ? Math.max(0, logit / Math.max(...rows.map(r => r[1]))) : share
      make("div", "fill", make("div", "track", bars)).style.width = 100 * size + "%"
      make("div", "v", bars, stage.kind === "logits" ? shown(logit) : percent(share))
    }
  }

  function paint(canvas, index, from, width) {
    const stage = stages[index], all = values(index), rows = stage.rows
    canvas.width = width
    canvas.height = rows
    const context = canvas.getContext("2d"), image = context.createImageData(width, rows)
    const pixels = image.data
    for (let i = 0, at = 0; i < rows; i += 1)
      for (let j = 0; j < width; j += 1, at += 4) {
        const value = all[i * stage.columns + from + j]
        const [red, green, blue] = value >= 0 ? MORE : LESS
        pixels[at] = red; pixels[at + 1] = green; pixels[at + 2] = blue
        pixels[at + 3] = Number.isFinite(value) ? 255 * Math.min(1, Math.abs(value) / stage.scale) : 0
      }
    context.putImageData(image, 0, 0)
  }

  function picture(stage) {
    if (perHead(stage)) return heads(stage)
    grid(stage, 0, stage.columns, stage.groups, tokens.length - stage.rows)
  }

  function grid(stage, from, width, groups, offset, keys = null) {
    const frame = make("div", "picture", panel), labels = make("div", "rows", frame), cells = make("div", "cells", frame)
    const height = Math.max(6, Math.min(keys ? 24 : 20, 236 / stage.rows))
    cells.style.height = height * stage.rows + "px"
    for (let i = 0; i < stage.rows; i += 1) {
      const at = i + offset, name = at === state.token ? "on" : at === state.other ? "other" : ""
      const label = make("div", name, labels, height >= 9 ? tokens[at] : "")
      label.style.height = height + "px"
    }
    const canvas = make("canvas", "", cells)
    paint(canvas, state.stage, from, width)
    for (let g = 1; g < groups; g += 1) {
      const line = make("div", "", cells)
      line.style.cssText = `position:absolute;top:0;bottom:0;width:1px;background:var(--st-text-color);opacity:.4;left:${100 * g / groups}%`
    }
    const outline = (name, r) => {
      if (r < 0 || r >= stage.rows) return
      make("div", "frame " + name, cells).style.cssText = `top:${r * height}px;height:${height}px;left:0;right:0`
    }
    outline("", state.token - offset)
    if (state.other !== null) outline("other", state.other - offset)
    const readout = make("div", "readout", panel, say.hover)
    readout.setAttribute("aria-live", "polite")
    const point = make("div", "frame point", cells)
    point.hidden = true
    const tell = (r, c) => {
      const value = values(state.stage)[r * stage.columns + from + c]
      point.hidden = false
      point.style.cssText = `top:${r * height}px;height:${height}px;left:${100 * c / width}%;width:max(4px,${100 / width}%)`
      const number = keys ? keys[c] : stage.bin > 1 ? `${c * stage.bin + 1}–${Math.min((c + 1) * stage.bin, stage.groups * stage.shape.at(-1)[1])}` : column_name(stage, c)
      readout.textContent = fill(keys ? say.looks : stage.bin > 1 ? say.cell_bin : say.cell,
        { token: tokens[r + offset], number, value: shown(value) })
      state.point = [r, c]
    }
    cells.onmousemove = event => {
      const at = cells.getBoundingClientRect()
      tell(Math.max(0, Math.min(stage.rows - 1, Math.floor((event.clientY - at.top) / at.height * stage.rows))),
        Math.max(0, Math.min(width - 1, Math.floor((event.clientX - at.left) / at.width * width))))
    }
    cells.onmouseleave = () => { point.hidden = true; readout.textContent = say.hover }
    cells.onclick = event => {
      const at = cells.getBoundingClientRect()
      go(state.stage, offset + Math.floor((event.clientY - at.top) / at.height * stage.rows))
    }
    cells.tabIndex = 0
    cells.dataset.focus = "cells"
    cells.setAttribute("role", "application")
    cells.setAttribute("aria-label", fill(say.cells, { stage: path(stage) }))
    const here = () => state.point ?? [Math.max(0, Math.min(stage.rows - 1, state.token - offset)), 0]
    cells.onfocus = () => tell(...here())
    cells.onkeydown = event => {
      const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key]
      if (!move) return
      const [r, c] = here()
      tell(Math.max(0, Math.min(stage.rows - 1, r + move[0])), Math.max(0, Math.min(width - 1, c + move[1])))
      event.preventDefault()
    }
  }
  const column_name = (stage, c) => stage.groups > 1
    ? fill(say.of_head, { number: c % (stage.columns / stage.groups) + 1, head: Math.floor(c / (stage.columns / stage.groups)) + 1 }) : c + 1

  function heads(stage) {
    const width = stage.columns / stage.groups
    if (state.head !== null) {
      const h = Math.min(state.head, stage.groups - 1)
      const line = make("div", "chips", panel)
      make("b", "", line, fill(say.head, { head: h + 1 }))
      const all = button(say.all_heads, () => { state.head = null; draw(); panel.querySelector(".tile")?.focus() }, line)
      all.dataset.focus = "all"
      return grid(stage, h * width, width, 1, tokens.length - stage.rows, tokens)
    }
    const tiles = make("div", "tiles", panel)
    tiles.style.gridTemplateColumns = `repeat(${Math.min(stage.groups, stage.groups > 4 ? 4 : 2)}, minmax(0, 1fr))`
    for (let h = 0; h < stage.groups; h += 1) tile(tiles, state.stage, h, fill(say.head, { head: h + 1 }))
    make("div", "readout", panel, say.enlarge)
  }
  function tile(parent, index, h, label) {
    const stage = stages[index], width = stage.columns / stage.groups
    const one = button("", () => {
      pause()
      state.head = h
      go(index)
      panel.querySelector(".cells")?.focus({ preventScroll: true })
      box.scrollIntoView({ block: "nearest" })
    }, parent, "tile")
    one.setAttribute("aria-label", fill(say.open_head, { stage: path(stage), head: h + 1 }))
    const canvas = make("canvas", "", one)
    paint(canvas, index, h * width, width)
    if (stage.rows !== width) canvas.style.aspectRatio = `${width} / ${Math.max(stage.rows, width / 6)}`
    make("span", "", one, label)
  }

  // One number of the stage, worked out.
  function sum(stage) {
    const box = make("div", "sum", panel)
    make("span", "form", box, data.formulas[stage.kind])
    const n = stage.numbers[state.token - (tokens.length - stage.numbers.length)]
    if (!n) { box.append(state.token >= first(stage) ? say.kept : say.spared); return }
    const parts = worked(stage, n)
    parts.forEach((part, i) => i % 2 ? make("b", "", box, part) : box.append(part))
  }
  function worked(stage, n) {
    const wide = stage.shape.at(-1)[1], at = j => stage.groups > 1 || stage.shape.length > 2
      ? fill(say.of_head, { number: j % wide + 1, head: Math.floor(j / wide) + 1 }) : j + 1
    const times = (list, by) => { const out = []; for (let i = 0; i < list.length; i += by) out.push(`${shown(list[i])} × ${shown(list[i + 1])}`); return out.join(" + ") }
    const more = (left, rest) => left > 0 || rest ? ` + ${fill(say.more, { n: left, rest: shown(rest) })}` : ""
    const begin = fill(say.number, { number: at(n[0]) }) + " ", result = ["= ", shown(n.at(-1))]
    const word = () => stage.said[state.token - first(stage)][0][0]
    const token = s => tokens[s - data.before] ?? s + 1
    switch (stage.form) {
      case "row": return [begin, shown(n[1])]
      case "product": {
        const name = stage.kind === "logits" ? fill(say.word, { word: word() }) + " " : begin
        return [name + times(n.slice(1, -3), 2) + more(n.at(-3), n.at(-2)) + " " + result[0], result[1]]
      }
      case "norm": return [begin + `(${shown(n[1])}${n[2] ? " − " + shown(n[2]) : ""}) ÷ ${shown(n[3])} × ${shown(n[4])}${n[5] ? " + " + shown(n[5]) : ""} ` + result[0], result[1]]
      case "turn": return [begin + `${shown(n[1])} × ${shown(n[2])} (cos) + ${shown(n[3])} × ${shown(n[4])} (sin) ` + result[0], result[1]]
      case "sum": return [begin + `${shown(n[1])} + ${shown(n[2])} ` + result[0], result[1]]
      case "scores": return [fill(say.pair, { head: n[0] + 1, token: token(n[1]) }) + " (" + times(n.slice(2, -4), 2) + more(n.at(-4), n.at(-3)) + `) × ${shown(n.at(-2))} ` + result[0], result[1]]
      case "mask": return [fill(say.mask, { may: n[0], may_not: n[1] }), ""]
      case "softmax": return [fill(say.pair, { head: n[0] + 1, token: token(n[1]) }) + ` exp(${shown(n[2])} − ${shown(n[3])}) ÷ ${shown(n[4])} ` + result[0], result[1]]
      case "mixed": {
        const out = []
        for (let i = 1; i < n.length - 3; i += 3) out.push(`${shown(n[i])} × ${shown(n[i + 1])} (${tokens[n[i + 2] - data.before] ?? n[i + 2] + 1})`)
        return [begin + out.join(" + ") + more(n.at(-3), n.at(-2)) + " " + result[0], result[1]]
      }
      case "bend": return [begin + `${data.bend}(${shown(n[1])}) ` + result[0], result[1]]
      case "times": return [begin + `${shown(n[1])} × ${shown(n[2])} ` + result[0], result[1]]
      case "chance": return [fill(say.word, { word: word() }) + ` exp(${shown(n[1])} − ${shown(n[2])}) ÷ ${shown(n[3])} ` + result[0], percent(n[4])]
    }
    return ["", shown(n.at(-1))]
  }

  function code(stage) {
    const found = data.codes[stage.kind]
    make("div", "where", panel, fill(say.code, found))
    const pre = make("pre", "", panel)
    found.lines.forEach((line, i) => make("span", i === found.hot ? "hot" : "cool", pre, line || " "))
  }

  function against(stage) {
    const a = state.token - first(stage), b = state.other - first(stage)
    if (a < 0 || b < 0) return
    const all = values(state.stage), w = stage.columns
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
  function drawWall() {
    const layers = stages.map((stage, i) => [stage, i]).filter(([stage]) => stage.kind === "weights")
    if (!layers.length) return
    make("div", "small", wall, say.wall)
    const grid = make("div", "grid", wall)
    const n = layers[0][0].groups
    grid.style.setProperty("--heads", n <= 4 ? 2 * n : n)
    grid.style.setProperty("--few", Math.min(n, 4))
    for (const [stage, i] of layers)
      for (let h = 0; h < stage.groups; h += 1) tile(grid, i, h, `${stage.layer + 1}.${h + 1}`)
  }

  drawWall()
  const at = before ? before.look() : data.at
  go(places.has(at.stage) ? at.stage : data.at.stage, Math.min(at.token ?? 0, tokens.length - 1), at.other !== null && at.other < tokens.length ? at.other : null, true)
  return { id: data.id, asked: data.asked, go, look, stop: () => { clearInterval(playing); clearTimeout(resting); playing = 0; play.textContent = say.play } }
}
