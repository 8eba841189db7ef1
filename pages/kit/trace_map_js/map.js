// The journey through one forward pass: map, panel, breadcrumb and playback. Everything but the formula of an
// unusual cell is here already; that formula is asked for, and comes by the event `glassbox-cells`.
const running = new WeakMap()
const REST = 450 // milliseconds at one position before the page is told

export default function traceMap({ data, parentElement, setStateValue }) {
  const root = parentElement.querySelector(".trace-map")
  let map = running.get(root)
  if (!map || map.data.id !== data.id) {
    map?.stop()
    map = build(root, data, map, setStateValue)
    running.set(root, map)
  }
  map.listen() // once more for a map that is there: what ended the last run has stopped it
  return () => map.stop()
}

function make(tag, name, parent, text) {
  const element = document.createElement(tag)
  if (name) element.className = name
  if (text !== undefined) element.textContent = text
  parent?.append(element)
  return element
}

function build(root, data, before, setStateValue) {
  const stages = readStages(data), { tokens, say } = data
  const map = { root, data, stages, tokens, say, at: layout(stages), rows: stages.map(() => new Map()),
    places: new Map(stages.map(stage => [stage.name, stage.index])),
    state: { stage: 0, token: 0, other: null, column: null, zoom: "model", allHeads: true } }
  const { state } = map, answers = new Map(), slices = new Map()
  let resting = 0, view = null, glideFrom = null, glideBegan = 0, request = 0, dragged = null

  map.title = stage => data.titles[stage.kind]
  map.part = of => of.part === "attention" ? say.attention : say.feedforward
  map.path = stage => stage.layer === null ? map.title(stage) : `${say.block} ${stage.layer + 1}, ${map.title(stage)}`
  map.column = () => state.column ?? stages[state.stage].main(state.token)
  map.slices = stage => slices.get(stage) ?? slices.set(stage, slicesOf(stage)).get(stage)
  map.numbers = (stage, token, column) => {
    const main = stage.numbers[token - stage.computed]
    return main?.[0] === column ? main : answers.get(`${stage.name} ${token} ${column}`)?.numbers
  }
  map.word = (stage, id) => stage.said[state.token - stage.first]?.find(row => row[3] === id)?.[0]
    ?? answers.get(`${stage.name} ${state.token} ${id}`)?.word ?? `#${id}`

  root.replaceChildren()
  map.button = (text, act, parent, name = "") => {
    const one = make("button", name, parent, text)
    one.type = "button"
    one.onclick = act
    return one
  }

  // The bar: playback. Below it the breadcrumb, which says where on the map one is.
  const bar = make("div", "bar", root)
  const back = map.button(say.back, () => step(-1), bar)
  const play = map.button(say.play, () => { map.player.toggle(); bring() }, bar, "play")
  const next = map.button(say.next, () => step(1), bar)
  const range = make("input", "", bar), count = make("span", "count", bar)
  const choice = (label, parent, options, act) => {
    const list = make("select", "", make("label", "", parent, label))
    options.forEach(([value, text]) => { make("option", "", list, text).value = value })
    list.onchange = () => act(list.value)
    return list
  }
  choice(say.speed, bar, [[0.25, "¼×"], [0.5, "½×"], [1, "1×"], [2, "2×"], [4, "4×"]], value => map.player.speed(+value)).value = 1
  const trail = make("div", "trail", root), out = map.button("−", () => zoom(-1), trail), into = map.button("+", () => zoom(1), trail)
  const crumb = make("nav", "crumb", trail)
  crumb.setAttribute("aria-label", say.where)
  out.setAttribute("aria-label", say.zoom_out)
  into.setAttribute("aria-label", say.zoom_in)

  // The map on its canvas, the text below it, and the panel.
  const two = make("div", "two", root), left = make("div", "left", two), box = make("div", "mapbox", left), canvas = make("canvas", "", box)
  map.box = box
  const cell = make("div", "hidden", box)
  cell.id = "cell"
  cell.setAttribute("role", "gridcell")
  Object.entries({ tabindex: 0, role: "grid", "aria-rowcount": stages.length, "aria-colcount": tokens.length,
    "aria-label": say.map, "aria-activedescendant": "cell" }).forEach(([name, value]) => box.setAttribute(name, value))
  make("div", "", box).setAttribute("role", "row")
  box.lastChild.append(cell)
  const sentence = make("div", "sentence", left)
  tokens.forEach((token, t) => { map.button(token, () => go(state.stage, t), sentence, "word").tabIndex = -1 })
  const slot = make("span", "slot", sentence), falling = make("span", "falling", left)
  const panel = map.panel = make("div", "panel", two), files = make("div", "bar files", root)
  panel.tabIndex = -1
  panel.setAttribute("aria-label", say.panel)
  panel.setAttribute("role", "region")
  panel.onkeydown = event => { if (event.key === "Escape") { state.allHeads = true; draw(); box.focus() } }
  const named = tokens.map((token, i) => [i, `${i + 1 + data.before} ${token}`])
  const follow = choice(say.follow, files, named, value => go(state.stage, +value))
  const compare = choice(say.compare, files, [["", say.nobody], ...named], value => go(state.stage, state.token, value === "" ? null : +value))
  map.button(say.export_svg, () => saveFile("journey.svg", "image/svg+xml", viewAsSvg(map, view)), files)
  if (data.page) map.button(say.export_html, () => saveFile("journey.html", "text/html", pageAlone(map)), files)
  const wall = make("div", "wall", root), live = make("div", "hidden", root)
  live.setAttribute("aria-live", "polite")

  // The bar and all of the map, where the window is high enough.
  const bring = () => { if (map.player.playing()) left.scrollIntoView({ block: "nearest", behavior: map.player.reduced.matches ? "auto" : "smooth" }) }

  // What is on view, and what changes it.
  function go(stage, token = state.token, other = state.other, quiet = false) {
    select(stage, token, null, other)
    if (quiet) return
    map.player.leave(state.stage)
    settle()
  }
  map.go = stage => go(stage)
  map.choose = (stage, token, column) => {
    select(stage, token, column, state.other)
    if (stages[state.stage].pairs) state.allHeads = false
    draw()
    map.player.leave(state.stage)
    settle()
  }
  function select(stage, token, column, other) {
    const was = stages[state.stage]
    state.stage = clamp(stage, 0, stages.length - 1)
    state.token = clamp(token, 0, tokens.length - 1)
    state.other = other === state.token ? null : other
    state.column = column == null ? null : clamp(column, 0, stages[state.stage].width - 1)
    if (was.kind !== stages[state.stage].kind && !stages[state.stage].pairs) state.allHeads = true
    draw()
    aim()
  }
  map.move = (rows, columns) => {
    const stage = stages[state.stage], row = Math.max(stage.first, state.token) - stage.first, column = map.column()
    const drawn = Math.max(0, stage.drawn(column)), width = stage.pairs ? stage.columns / stage.groups : stage.columns
    const group = stage.pairs ? Math.floor(drawn / width) * width : 0
    const at = stage.bin === 1 ? clamp(drawn + columns, group, group + width - 1) : null
    const token = clamp(row + rows, 0, stage.rows - 1) + stage.first
    map.choose(state.stage, token, at === null ? column + columns : stage.column(token - stage.first, at))
  }
  const settle = () => {
    clearTimeout(resting)
    if (map.player.playing()) return
    const stage = stages[state.stage], known = map.numbers(stage, state.token, map.column()) || state.token < stage.computed
    resting = setTimeout(() => setStateValue("look", map.look()), known ? REST : 30)
  }
  map.look = () => {
    const { name, inner } = stages[state.stage], { token, other, zoom, column } = state
    return { stage: name, token, other, zoom, column, head: Math.floor((column ?? 0) / inner), cell: column === null ? null : column % inner }
  }
  function step(by) {
    map.player.pause()
    select(state.stage + by, state.token, null, state.other)
    map.player.step(state.stage)
    settle()
  }
  function zoom(by) { zoomTo(ZOOMS[clamp(ZOOMS.indexOf(state.zoom) + by, 0, ZOOMS.length - 1)]) }
  function zoomTo(name) {
    const outside = stages[state.stage].layer === null
    state.zoom = outside && name === "part" ? (state.zoom === "stage" ? "block" : "stage") : name
    draw()
    aim()
    settle()
  }
  const answered = ({ detail }) => {
    if (detail?.id !== data.id) return
    detail.numbers.forEach((numbers, i) => answers.set(`${detail.stage} ${detail.token} ${numbers[0]}`, { numbers, word: detail.words?.[i] }))
    if (stages[state.stage].name === detail.stage && state.token === detail.token) draw()
  }

  // Frames: while something moves, one a refresh of the screen.
  function aim() {
    dragged = null
    glideFrom = view
    glideBegan = performance.now()
    wake()
  }
  function wake() { request ||= requestAnimationFrame(frame) }
  function frame(now) {
    request = 0
    map.player.advance(now)
    let still = true
    const w = box.clientWidth, h = box.clientHeight
    if (w && h && state.zoom !== "cell") {
      const to = viewOf(map, w, h)
      if (dragged?.view) view = dragged.view
      else if (glideFrom) [view, still] = glide(glideFrom, to, glideBegan, now, map.player.reduced.matches)
      else view = to
      if (still) glideFrom = null
      paintMap(w, h)
    }
    drawSlot()
    if (map.player.playing() || !still) wake()
  }
  function paintMap(w, h) {
    const dpr = devicePixelRatio || 1
    if (canvas.width !== Math.round(w * dpr) || canvas.height !== Math.round(h * dpr)) Object.assign(canvas, { width: Math.round(w * dpr), height: Math.round(h * dpr) })
    const context = canvas.getContext("2d"), motion = map.player.motion(), at = map.frame = frameOf(map, view, w, h)
    context.setTransform(dpr, 0, 0, dpr, 0, 0)
    const pen = canvasPen(context, map.font)
    drawMap(pen, map, at, motion)
    if (!motion) return
    pen.clip(at.gutter - 4, at.head, w, h)
    drawStream(pen, map, at, motion)
    pen.unclip()
  }
  // At the end of the pass the most probable token falls from the foot of the map into the text.
  function drawSlot() {
    const motion = map.player.motion(), token = stages.at(-1).said.at(-1)[0][0], drop = motion ? motion.drop : 1
    slot.textContent = token
    slot.classList.toggle("open", drop < 1)
    falling.hidden = !(drop > 0 && drop < 1)
    if (falling.hidden || !map.frame) return
    const x0 = map.frame.x(tokens.length - 0.8), y0 = clamp(map.frame.y(map.at.foot) + 14, 0, box.clientHeight - 10)
    falling.textContent = token
    falling.style.transform = `translate(${x0 + (slot.offsetLeft - x0) * ease(drop)}px, ${y0 + (slot.offsetTop - y0) * drop * drop}px) scale(${1 + 0.5 * Math.sin(Math.PI * drop)})`
  }

  // Drawing of what does not move.
  function draw() {
    const stage = stages[state.stage], began = performance.now()
    cell.setAttribute("aria-rowindex", state.stage + 1)
    cell.setAttribute("aria-colindex", state.token + 1)
    cell.setAttribute("aria-label", `${map.path(stage)}, ${tokens[state.token]}`)
    back.disabled = state.stage === 0
    next.disabled = state.stage === stages.length - 1
    range.setAttribute("aria-valuetext", map.path(stage))
    range.value = map.player.time() * 1000
    count.textContent = fill(say.count, { at: state.stage + 1, of: stages.length })
    follow.value = state.token
    compare.value = state.other ?? ""
    sentence.querySelectorAll(".word").forEach((word, t) => word.classList.toggle("on", t === state.token))
    drawCrumb()
    drawPanel(map, panel)
    box.querySelector(".numbers")?.remove()
    if (state.zoom === "cell") box.append(numberTable(map, box, (token, column) => map.choose(state.stage, token, column)))
    live.textContent = cell.getAttribute("aria-label")
    Object.assign(root.dataset, { milliseconds: (performance.now() - began).toFixed(1), stage: stage.name, zoom: state.zoom })
    wake()
  }
  map.draw = draw
  function drawCrumb() {
    const focused = [...crumb.children].indexOf(root.getRootNode().activeElement), parts = crumbs(map)
    crumb.replaceChildren()
    const here = parts.findIndex(([, name, all]) => name === state.zoom && (name !== "stage" || parts.length < 5 || all === state.allHeads))
    parts.forEach(([text, name, all], i) => {
      if (i) make("span", "", crumb, "›").setAttribute("aria-hidden", "true")
      const one = map.button(text, () => { state.allHeads = all ?? state.allHeads; zoomTo(name) }, crumb)
      if (i === here) one.setAttribute("aria-current", "location")
    })
    crumb.children[focused]?.focus()
    out.disabled = state.zoom === "model"
    into.disabled = state.zoom === "cell"
  }

  // Pointer and keyboard on the map.
  const near = (event, x = event.clientX - box.getBoundingClientRect().left, y = event.clientY - box.getBoundingClientRect().top) => {
    const at = map.frame, unit = at.unit(y), token = clamp(Math.floor(at.token(x)), 0, tokens.length - 1)
    if (y < at.head) return { stage: state.stage, token, column: null }
    for (const [layer, band] of map.at.bands)
      if (unit >= band[0] && unit <= band[1]) {
        const arc = nearestArc(map, at, layer, band, x, y)
        if (arc) return arc
      }
    const index = clamp(map.at.y.findLastIndex(top => top - 1 <= unit), 0, stages.length - 1), stage = stages[index]
    const image = rowOf(map, stage, at.sx), k = Math.floor((at.token(x) - token) * image.step) - image.gap
    if (x < at.gutter || k < 0 || k >= image.count || token < stage.first) return { stage: index, token: x < at.gutter ? state.token : token, column: null }
    const row = token - stage.first
    return { stage: index, token, column: stage.column(row, largestDrawn(stage, row, k * image.size, (k + 1) * image.size)) }
  }
  box.onclick = event => {
    if (state.zoom === "cell" || dragged?.moved) return
    const { stage, token, column } = near(event)
    map.player.pause()
    if (event.shiftKey) go(stage, state.token, token)
    else map.choose(stage, token, column)
  }
  box.ondblclick = () => zoom(1)
  box.onpointerdown = event => { dragged = { x: event.clientX, y: event.clientY, from: view, view: dragged?.view, moved: false } }
  box.onpointermove = event => {
    if (state.zoom !== "cell" && map.frame && !event.buttons) {
      const { stage, token } = near(event)
      box.title = `${map.path(stages[stage])}: ${tokens[token]}`
    }
    if (!event.buttons || !dragged || !map.frame || state.zoom === "model" || state.zoom === "cell") return
    const dx = event.clientX - dragged.x, dy = event.clientY - dragged.y
    if (!dragged.moved && Math.hypot(dx, dy) < 5) return
    dragged.moved = true
    const { from } = dragged, shift = (low, high, by, least, most) => clamp(by, Math.min(0, least - low), Math.max(0, most - high))
    const mx = shift(from.x0, from.x1, -dx / map.frame.sx, 0, tokens.length), my = shift(from.y0, from.y1, -dy / map.frame.sy, -8, map.at.height)
    dragged.view = { x0: from.x0 + mx, x1: from.x1 + mx, y0: from.y0 + my, y1: from.y1 + my }
    wake()
  }
  box.onkeydown = event => {
    const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }, move = moves[event.key]
    const acts = {
      Home: () => go(0), End: () => go(stages.length - 1), PageUp: () => leap(-1), PageDown: () => leap(1),
      "+": () => zoom(1), "=": () => zoom(1), "-": () => zoom(-1), " ": () => map.player.toggle(),
      Enter: () => { if (stages[state.stage].pairs) state.allHeads = false; draw(); (panel.querySelector(".cells") ?? panel).focus() },
      Escape: () => zoom(-1),
    }
    if (move) state.zoom === "cell" ? map.move(...move) : go(state.stage + move[0], state.token + move[1])
    else if (acts[event.key]) acts[event.key]()
    else return
    if (event.key !== " ") map.player.pause()
    event.preventDefault()
  }
  const leap = by => {
    const streams = stages.filter(stage => stage.stream).map(stage => stage.index)
    go(by > 0 ? streams.find(i => i > state.stage) ?? stages.length - 1 : streams.findLast(i => i < state.stage) ?? 0)
  }

  map.player = player(map, {
    changed: () => { range.value = map.player.time() * 1000; play.textContent = map.player.playing() ? say.pause : say.play; wake() },
    arrived: stage => { if (state.zoom === "cell") state.zoom = "stage"; if (stage !== state.stage) go(stage, state.token, state.other, true) },
    stopped: () => { play.textContent = say.play; settle() },
  })
  Object.assign(range, { type: "range", min: 0, max: Math.ceil(map.player.line.total * 100) * 10, step: 10,
    oninput: () => { map.player.pause(); map.player.seek(range.value / 1000) }, onchange: () => settle() })
  range.onkeydown = event => {
    const by = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1 }[event.key]
    if (by) { step(by); event.preventDefault() }
  }
  range.setAttribute("aria-label", say.jump)

  const recolor = () => {
    const style = getComputedStyle(root), color = name => style.getPropertyValue(`--st-${name}`).trim()
    map.font = color("font") || "sans-serif"
    map.colors = { ink: color("text-color"), paper: color("background-color"), plate: color("secondary-background-color"),
      hot: color("orange-color"), cool: color("green-color"), deep: color("link-color") }
    wake()
  }
  map.stop = () => {
    map.player.pause()
    clearTimeout(resting)
    cancelAnimationFrame(request)
    resizing.disconnect()
    window.removeEventListener("glassbox-cells", answered)
  }
  map.listen = () => {
    recolor()
    window.addEventListener("glassbox-cells", answered)
    window.dispatchEvent(new CustomEvent("glassbox-cells-wanted"))
    resizing.observe(box)
  }
  const resizing = new ResizeObserver(() => { if (state.zoom === "cell") draw(); wake() })
  recolor()
  drawWall(map, wall)
  const at = before && places(before.look()) ? before.look() : data.at
  state.zoom = at.zoom
  select(map.places.get(at.stage) ?? 0, Math.min(at.token ?? 0, tokens.length - 1), at.column, at.other !== null && at.other < tokens.length ? at.other : null)
  if (at.column != null && stages[state.stage].pairs) { state.allHeads = false; draw() }
  return map

  function places(look) { return map.places.has(look.stage) }
}

// The arc under the pointer, as the head and the pair of tokens with the largest weight.
function nearestArc(map, frame, layer, band, x, y) {
  let best = null, least = 7
  for (const [query, key] of map.data.links[layer]) {
    const ends = arcEnds(frame, band, query, key)
    for (let u = 0; u <= 1; u += 0.05) {
      const [px, py] = curveTo(...ends, Math.max(u, 1e-6))[3], far = Math.hypot(px - x, py - y)
      if (far < least) { least = far; best = [query, key] }
    }
  }
  if (!best) return null
  const stage = map.stages.find(one => one.layer === layer && one.kind === "weights"), width = stage.columns / stage.groups, row = best[0] - stage.first
  const drawn = Array.from({ length: stage.groups }, (_, h) => h * width + best[1]), values = stage.values()
  const heaviest = drawn.reduce((a, b) => values[row * stage.columns + b] > values[row * stage.columns + a] ? b : a)
  return { stage: stage.index, token: best[0], column: stage.column(row, heaviest) }
}
