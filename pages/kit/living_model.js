// The living model: the text, the map of the layers and the distribution, drawn from numbers that Python computed.
// Everything on view is a function of the token being written (i) and how far its pass has come (u, from 0 to 1).
const players = new WeakMap()
const IN = 0.1, OUT = 0.8, DROP = 0.92  // phases of a pass: token in, layers, distribution, the token drops
const ATTENTION = 0.42, FEEDFORWARD = 0.84  // when within a layer each sub-layer's output is added
const SPEEDS = [["0.25×", 7], ["0.5×", 3.6], ["1×", 2.2], ["4×", 0.45]]  // seconds a token
const HOLD = 2500  // milliseconds the distribution stands still after the pointer has moved over it
const PAUSE = 0.7  // seconds between two steps where motion is reduced

const clamp = x => Math.max(0, Math.min(1, x))
const smooth = x => { x = clamp(x); return x * x * (3 - 2 * x) }
const percent = p => p >= 0.9995 ? "100%" : p < 0.001 ? "<0.1%" : (100 * p).toFixed(p < 0.0995 ? 1 : 0) + "%"
const visible = text => text.replaceAll("\n", "⏎").replace(/^ +/, s => "␣".repeat(s.length)) || "(empty)"
const short = (text, most) => text.length <= most ? text : text.slice(0, most - 1) + "…"
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, name) => values[name])

function make(tag, name, parent, text) {
  const element = document.createElement(tag)
  element.className = name
  if (text !== undefined) element.textContent = text
  parent?.append(element)
  return element
}

function draw(tag, attributes, parent, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag)
  for (const name in attributes) element.setAttribute(name, attributes[name])
  if (text !== undefined) element.textContent = text
  parent.append(element)
  return element
}

// ---- The frame: form, text, map, distribution, controls.

function frame(root, data) {
  const say = data.words
  root.replaceChildren()
  const form = make("form", "ask", root)
  const label = make("label", "", form)
  make("span", "", label, say.start)
  const input = make("input", "start", label)
  input.value = data.start
  input.maxLength = data.longest
  const heat = make("label", "heat", form)
  make("span", "", heat, say.temperature)
  const temperature = make("select", "", heat)
  for (const value of data.temperatures) make("option", "", temperature, value)
  temperature.value = data.temperature
  make("button", "write", form, say.write).type = "submit"

  const text = make("p", "text", root)
  text.tabIndex = 0
  text.setAttribute("role", "region")
  text.setAttribute("aria-label", say.text)
  const box = make("div", "map", root)
  const svg = draw("svg", { role: "img", "aria-label": say.map }, box)
  const next = make("div", "next", root)
  make("p", "title", next, say.next)
  const bars = make("div", "bars", next)
  make("p", "note", next, fill(say.model, data))
  const readout = make("p", "readout", root)
  const tools = make("div", "tools", root)
  const play = make("button", "play", tools)
  const step = make("button", "", tools, say.step)
  const position = make("input", "position", tools)
  Object.assign(position, { type: "range", min: 1, max: Math.max(1, data.steps.length) })
  position.setAttribute("aria-label", say.position)
  const count = make("span", "count", tools)
  const speed = make("select", "speed", tools)
  speed.setAttribute("aria-label", say.speed)
  for (const [name] of SPEEDS) make("option", "", speed, name)
  return { form, input, temperature, text, box, svg, bars, readout, play, step, position, count, speed }
}

// ---- The map.

function geometry(width, height, n) {
  const narrow = width < 560
  const x0 = narrow ? 62 : 104, x1 = width - (narrow ? 12 : 26)
  return {
    width, height, narrow, x0, x1, layer: (x1 - x0) / n,
    stream: height - (narrow ? 36 : 62), box: Math.round(height * (narrow ? 0.5 : 0.53)),
    top: narrow ? 18 : 24, row: narrow ? 12 : 20, rows: narrow ? 3 : 5,
    boxHeight: narrow ? 15 : 26, cell: narrow ? 2.6 : 5, cellHeight: narrow ? 12 : 18,
    named: (x1 - x0) / n >= (narrow ? 44 : 84),
  }
}

function buildMap(svg, g, n, say) {
  svg.replaceChildren()
  for (const [name, value] of [["viewBox", `0 0 ${g.width} ${g.height}`], ["width", g.width], ["height", g.height]])
    svg.setAttribute(name, value)
  const layers = []
  for (let l = 0; l < n; l += 1) {
    const left = g.x0 + l * g.layer, group = draw("g", { class: "layer" }, svg)
    draw("rect", { class: "plate", x: left + 2, y: 1, width: g.layer - 4, height: g.height - 2, rx: 8 }, group)
    if (g.named || l % 4 === 0)
      draw("text", { class: "name", x: left + g.layer / 2, y: g.narrow ? 12 : 18 }, group,
        g.named && !g.narrow ? `${say.layer} ${l + 1}` : `${l + 1}`)
    layers.push({ left, group, xa: left + g.layer * 0.29, xf: left + g.layer * 0.74 })
  }
  draw("line", { class: "lane", x1: 6, x2: g.x1 + 4, y1: g.stream, y2: g.stream }, svg)
  const done = draw("line", { class: "lane done", x1: 6, x2: 6, y1: g.stream, y2: g.stream }, svg)
  for (const at of layers) buildLayer(at, g, say)
  const end = g.narrow ? `V${g.height}` : `V34q0 -12 12 -12H${g.width - 6}`
  if (!g.narrow) draw("path", { class: "arrow", d: `M${g.width - 7} 17l6 5l-6 5z` }, svg)
  const out = draw("path", { class: "out", d: `M${g.x1 + 4} ${g.stream}${end}` }, svg)
  const token = draw("g", { class: "token" }, svg)
  draw("rect", { x: 3, y: g.stream - (g.narrow ? 32 : 44), width: g.x0 - 10, height: g.narrow ? 18 : 26, rx: 5 }, token)
  const word = draw("text", { x: 3 + (g.x0 - 10) / 2, y: g.stream - (g.narrow ? 19 : 26) }, token)
  if (!g.narrow) draw("text", { class: "small", x: 3 + (g.x0 - 10) / 2, y: g.stream + 32 }, svg, say.lens)
  const dots = Array.from({ length: 6 }, () => draw("circle", { class: "dot", r: g.narrow ? 2.4 : 4 }, svg))
  const strip = draw("g", { class: "strip" }, svg)
  draw("rect", { class: "back", x: -2, y: -g.cellHeight / 2 - 2, width: 12 * g.cell + 4, height: g.cellHeight + 4, rx: 3 }, strip)
  const cells = Array.from({ length: 12 }, (_, k) =>
    draw("rect", { x: k * g.cell, y: -g.cellHeight / 2, width: g.cell - 0.4, height: g.cellHeight }, strip))
  return { g, layers, done, out, token, word, dots, strip, cells, on: {} }
}

function buildLayer(at, g, say) {
  const { group, left, xa, xf } = at, half = Math.min(g.layer * 0.22, 46), bottom = g.box + g.boxHeight
  at.rows = []
  for (let k = 0; k < g.rows; k += 1) {
    const y = g.top + g.row * (k + 1), row = draw("g", { class: "attended" }, group)
    const curve = draw("path", {}, row)
    const word = draw("text", { x: left + 8, y }, row)
    const share = draw("text", { class: "weight", x: left + g.layer - 8, y }, row)
    at.rows.push({ row, word, curve, share, y })
  }
  at.toStream = draw("path", { class: "attention", d: `M${xa} ${bottom}V${g.stream}` }, group)
  const before = xf - half * 0.8
  at.around = draw("path", { class: "feedforward", fill: "none",
    d: `M${before} ${g.stream}C${before} ${g.stream - 16} ${xf} ${bottom + 20} ${xf} ${bottom}` }, group)
  at.back = draw("path", { class: "feedforward", d: `M${xf} ${bottom}V${g.stream}` }, group)
  for (const [x, kind, name, brief] of [[xa, "attention", say.attention, "attn"], [xf, "feedforward", say.feedforward, g.narrow ? "ffn" : "feed-fwd"]]) {
    at[kind] = draw("g", { class: "box " + kind }, group)
    const width = g.narrow || !g.named ? g.layer * 0.38 : half * 2
    draw("rect", { x: x - width / 2, y: g.box, width, height: g.boxHeight, rx: 5 }, at[kind])
    if (g.named) draw("text", { x, y: g.box + g.boxHeight / 2 + (g.narrow ? 3 : 4) }, at[kind], width > 6.4 * name.length ? name : width > 5.6 * brief.length ? brief : brief.slice(0, 4))
    at[kind + "Plus"] = draw("circle", { class: "plus " + kind, cx: x, cy: g.stream, r: g.narrow ? 3 : 5 }, group)
    if (!g.narrow && g.named) at[kind + "Adds"] = draw("text", { class: "adds", x: x + 7, y: (bottom + g.stream) / 2 }, group)
  }
  at.lens = draw("text", { class: "lens", x: left + g.layer / 2, y: g.stream + (g.narrow ? 24 : 32) }, group)
}

// What a token's pass shows in every layer; it fades in when the pass gets there.
function fillMap(map, step, tokens, largest) {
  const { g } = map
  step.layers.forEach((layer, l) => {
    const at = map.layers[l]
    at.rows.forEach((row, k) => {
      const [position, weight] = layer.attended[k] ?? [0, 0]
      const shown = g.named && layer.attended[k]
      row.word.textContent = shown ? short(visible(tokens[position]), Math.floor((g.layer - (g.narrow ? 12 : 50)) / (g.narrow ? 6 : 7.3))) : ""
      row.share.textContent = shown && !g.narrow ? percent(weight) : ""
      const x = at.left + 11 + (g.narrow ? 6 : 7.3) * row.word.textContent.length, y = row.y - 4
      row.curve.setAttribute("d", `M${x} ${y}C${x + 18} ${y} ${at.xa + (g.narrow ? 8 : 34)} ${g.box - (g.narrow ? 8 : 34)} ${at.xa} ${g.box}`)
      row.curve.style.strokeWidth = shown ? 0.5 + (g.narrow ? 3 : 7) * weight : 0
      row.weight = weight
    })
    const thick = kind => 1 + (g.narrow ? 4 : 7) * layer[kind] / largest
    at.toStream.style.strokeWidth = thick("attention")
    at.around.style.strokeWidth = at.back.style.strokeWidth = thick("feedforward")
    if (at.attentionAdds) for (const kind of ["attention", "feedforward"]) at[kind + "Adds"].textContent = "+" + layer[kind].toFixed(1)
    at.lens.textContent = g.named ? short(visible(layer.lens[0]), g.narrow ? 8 : 12) + (g.narrow ? "" : " " + percent(layer.lens[1])) : ""
  })
}

function along(path, share) {
  return path.getPointAtLength(share * path.getTotalLength())
}

function drawMap(map, step, u, word) {
  const { g, layers } = map, n = layers.length, each = (OUT - IN) / n
  map.word.textContent = short(visible(word), g.narrow ? 7 : 10)
  map.token.style.opacity = 0.35 + 0.65 * smooth(u / IN * 2)
  let x = 4 + (g.x0 - 12 * g.cell - 4) * smooth(u / IN), state = 0, busy = []
  layers.forEach((at, l) => {
    const v = clamp((u - IN - l * each) / each), reached = u >= IN + l * each
    at.group.classList.toggle("now", reached && v < 1)
    const attends = smooth(v / 0.14), adds = smooth((v - ATTENTION + 0.08) / 0.1), feeds = smooth((v - 0.52) / 0.1)
    for (const { row } of at.rows) row.style.opacity = attends
    at.attention.style.opacity = 0.45 + 0.55 * attends
    at.feedforward.style.opacity = 0.45 + 0.55 * feeds
    at.toStream.style.opacity = 0.12 + 0.88 * adds
    const fed = smooth((v - FEEDFORWARD + 0.08) / 0.1)
    at.around.style.opacity = 0.12 + 0.88 * feeds
    at.back.style.opacity = 0.12 + 0.88 * fed
    if (at.attentionAdds) { at.attentionAdds.style.opacity = adds; at.feedforwardAdds.style.opacity = fed }
    at.lens.style.opacity = smooth((v - FEEDFORWARD) / 0.1)
    const pulse = (share, radius) => radius + (g.narrow ? 3 : 6) * Math.max(0, 1 - Math.abs(share) / 0.08)
    at.attentionPlus.setAttribute("r", pulse(v - ATTENTION, g.narrow ? 3 : 5))
    at.feedforwardPlus.setAttribute("r", pulse(v - FEEDFORWARD, g.narrow ? 3 : 5))
    if (v > 0 && v < ATTENTION)
      at.rows.forEach((row, k) => {
        const share = (v / ATTENTION - 0.12 * k) / 0.7
        if (row.weight > 0.02 && share > 0 && share < 1)
          busy.push([share < 0.6 ? along(row.curve, share / 0.6) : along(at.toStream, (share - 0.6) / 0.4), "attention"])
      })
    if (v > 0.5 && v < FEEDFORWARD) {
      const share = (v - 0.5) / (FEEDFORWARD - 0.5)
      busy.push([share < 0.5 ? along(at.around, 2 * share) : along(at.back, 2 * share - 1), "feedforward"])
    }
    if (v >= ATTENTION) state = 2 * l + 1
    if (v >= FEEDFORWARD) state = 2 * l + 2
    if (reached) {
      const wide = 12 * g.cell, stop = (at, from, to, share) => from + (to - from) * smooth(share) - at
      const hop = v < ATTENTION ? stop(wide, at.left, at.xa, v / 0.16)
        : v < FEEDFORWARD ? stop(wide, at.xa, at.xf, (v - ATTENTION) / 0.16)
        : stop(wide, at.xf, at.left + g.layer, (v - FEEDFORWARD) / 0.16)
      x = hop
    }
  })
  if (u > OUT && u < DROP)
    for (const late of [0, 0.25, 0.5]) {
      const share = (u - OUT) / (DROP - OUT) * 1.5 - late
      if (share > 0 && share < 1) busy.push([along(map.out, share), "output"])
    }
  map.out.style.opacity = u > OUT ? 1 : 0.35
  map.dots.forEach((dot, k) => {
    const [point, kind] = busy[k] ?? []
    dot.style.opacity = point ? 1 : 0
    if (!point) return
    dot.setAttribute("cx", point.x); dot.setAttribute("cy", point.y)
    dot.setAttribute("class", "dot " + kind)
  })
  map.strip.setAttribute("transform", `translate(${x} ${g.stream})`)
  map.strip.style.opacity = 1 - smooth((u - OUT) / 0.06)
  map.done.setAttribute("x2", u > OUT ? g.x1 + 4 : Math.max(6, x))
  const numbers = step.stream[state]
  map.cells.forEach((cell, k) => {
    cell.setAttribute("class", numbers[k] < 0 ? "below" : "above")
    cell.style.fillOpacity = 0.08 + 0.92 * Math.abs(numbers[k]) / 9
  })
}

// ---- One text being written.

class Player {
  constructor(root, data, ask, before) {
    Object.assign(this, { root, data, ask, play: data.play, i: 0, u: 0, last: 0, request: 0, heldUntil: 0, focused: false, shown: "", row: -1 })
    this.still = window.matchMedia("(prefers-reduced-motion: reduce)").matches
    this.playing = !this.still
    this.speed = before?.speed ?? 2
    this.tokens = [...data.given, ...data.steps.map(step => step.token)]
    this.largest = Math.max(1e-9, ...data.steps.flatMap(s => s.layers.flatMap(l => [l.attention, l.feedforward])))
    this.parts = frame(root, data)
    this.flyer = make("span", "flyer", root)
    this.writeTokens()
    this.writeBars()
    this.connect()
    this.size = new ResizeObserver(() => this.fit())
    this.size.observe(this.parts.box)
    this.fit()
    this.resume()
  }

  // The bars stand still while somebody aims at one.
  get hold() { return this.focused || performance.now() < this.heldUntil }

  get n() { return this.data.steps.length }

  writeTokens() {
    const { data } = this, names = data.names
    this.spans = this.tokens.map((token, place) => {
      const isGiven = place < data.given.length, name = token.trim()
      const span = make("span", isGiven ? "given" : "written", this.parts.text)
      if (isGiven && names.includes(name)) {
        span.append(token.slice(0, token.indexOf(name)))
        const swap = make("button", "swap", span, name)
        swap.type = "button"
        swap.title = data.words.swap
        swap.onclick = () => this.swap()
        span.append(token.slice(token.indexOf(name) + name.length))
      } else span.textContent = token
      if (!isGiven) span.onclick = () => this.goTo(place - data.given.length)
      return span
    })
    this.caret = make("span", "caret", this.parts.text)
  }

  writeBars() {
    this.rows = Array.from({ length: 8 }, () => {
      const button = make("button", "row", this.parts.bars)
      button.type = "button"
      const [word, track, share] = ["word", "track", "share"].map(name => make("span", name, button))
      const bar = make("span", "fill", track)
      return { button, word, bar, share }
    })
  }

  connect() {
    const { form, input, temperature, play, step, position, speed, bars } = this.parts
    const submit = () => this.send(input.value)
    form.onsubmit = event => { event.preventDefault(); submit() }
    temperature.onchange = submit
    play.onclick = () => this.playing ? this.pause() : this.start()
    step.onclick = () => { this.pause(); this.jump() }
    position.oninput = () => this.goTo(Number(position.value) - 1)
    speed.selectedIndex = this.speed
    speed.onchange = () => { this.speed = speed.selectedIndex }
    bars.onpointermove = () => { this.heldUntil = performance.now() + HOLD }
    bars.onpointerleave = () => { this.heldUntil = 0 }
    bars.onfocusin = event => { this.focused = event.target.matches(":focus-visible") }
    bars.onfocusout = () => { this.focused = false }
  }

  send(start) {
    this.root.classList.add("waiting")
    this.pause()
    this.ask({ start, temperature: this.parts.temperature.value })
  }

  swap() {
    const [one, other] = this.data.names
    this.send(this.data.start.replace(new RegExp(`\\b(${one}|${other})\\b`, "g"), name => name === one ? other : one))
  }

  choose(token) {
    const written = this.data.steps.slice(0, this.row).map(step => step.token).join("")
    this.spans.slice(this.data.given.length + this.row).forEach(span => span.remove())
    make("span", "written chosen", this.parts.text, token)
    this.send(this.data.start + written + token)
  }

  fit() {
    const { width, height } = this.parts.box.getBoundingClientRect()
    if (!width || !height || !this.n) return
    const n = this.data.steps[0].layers.length
    this.map = buildMap(this.parts.svg, geometry(Math.round(width), Math.round(height), n), n, this.data.words)
    this.filled = -1
    this.draw()
  }

  // Where the pass can rest: after the token is in, after each sub-layer, at the distribution, at the end.
  get stops() {
    const n = this.data.steps[0].layers.length, each = (OUT - IN) / n
    const inside = Array.from({ length: n }, (_, l) => [ATTENTION + 0.05, FEEDFORWARD + 0.1].map(v => IN + (l + v) * each))
    return [IN * 0.9, ...inside.flat(), DROP - 0.01, 1]
  }

  jump() {
    if (!this.n) return
    if (this.u >= 1 && this.i < this.n - 1) { this.i += 1; this.u = 0 }
    this.u = this.stops.find(stop => stop > this.u + 1e-6) ?? 1
    this.draw()
  }

  goTo(i) { this.pause(); this.i = i; this.u = 1; this.draw() }
  pause() { this.playing = false; this.draw() }
  start() {
    if (this.i === this.n - 1 && this.u >= 1) { this.i = 0; this.u = 0 }
    this.playing = true
    this.resume()
    this.draw()
  }

  resume() {
    cancelAnimationFrame(this.request)
    this.last = 0
    if (this.playing && this.n) this.request = requestAnimationFrame(now => this.tick(now))
  }

  stop() { cancelAnimationFrame(this.request); this.size.disconnect() }

  tick(now) {
    if (!this.playing) return
    if (!this.root.isConnected) return this.stop()
    const seconds = this.last ? Math.min(0.1, (now - this.last) / 1000) : 0
    if (this.still) {
      if (!this.last || now - this.last > 1000 * PAUSE) { if (!this.hold) this.jump(); this.last = now }
    } else {
      this.last = now
      if (!this.hold) this.u += seconds / SPEEDS[this.speed][1]
      if (this.u >= 1 && this.i < this.n - 1) { this.i += 1; this.u = 0 }
      this.u = Math.min(1, this.u)
      this.draw()
    }
    if (this.i === this.n - 1 && this.u >= 1) { this.playing = false; this.draw(); return }
    this.request = requestAnimationFrame(later => this.tick(later))
  }

  draw() {
    const { data, parts, i, u } = this, words = data.words
    parts.play.textContent = this.playing ? words.pause : i === this.n - 1 && u >= 1 ? words.again : words.play
    parts.readout.setAttribute("aria-live", this.playing ? "off" : "polite")
    if (!this.n) { parts.readout.textContent = words.end; return }
    const step = data.steps[i], at = data.given.length + i
    this.drawText(at, u)
    if (this.map) {
      if (this.filled !== i) { fillMap(this.map, step, this.tokens, this.largest); this.filled = i }
      drawMap(this.map, step, u, this.tokens[at - 1] ?? "")
    }
    this.drawBars(u >= OUT ? i : i - 1, u)
    this.drawPhase(step, at, u)
    this.fly(at, u)
    parts.position.value = i + 1
    parts.count.textContent = `${i + 1} / ${this.n}`
  }

  drawText(at, u) {
    if (this.at !== at || this.landed !== (u >= 1)) {
      this.landed = u >= 1
      this.spans.forEach((span, place) => span.classList.toggle("hidden", place > at || (place === at && u < 1)))
      this.spans[this.landed ? at : at - 1]?.after(this.caret)
      if (this.at !== at) {
        const box = this.parts.text, span = this.spans[at]
        box.scrollTop = Math.max(0, span.offsetTop - box.offsetTop + span.offsetHeight * 1.6 - box.clientHeight)
      }
      this.at = at
    }
  }

  drawBars(row, u) {
    const grown = row === this.i ? smooth((u - OUT) / 0.08) : 1
    this.parts.bars.classList.toggle("old", row !== this.i)
    if (this.row !== row || !this.rowsWritten) {
      this.row = row
      this.rowsWritten = true
      const step = this.data.steps[row]
      this.rows.forEach((one, k) => {
        const [token, p, canBeChosen] = step?.top[k] ?? ["", 0, false]
        one.p = p
        one.button.disabled = !canBeChosen
        one.button.style.visibility = step?.top[k] ? "" : "hidden"  // a button without a name
        one.button.classList.toggle("taken", step !== undefined && token === step.token)
        one.word.textContent = step?.top[k] ? visible(token) : ""
        one.share.textContent = step?.top[k] ? percent(p) : ""
        one.button.title = canBeChosen ? fill(this.data.words.choose, { token: visible(token), p: percent(p) }) : ""
        one.button.onclick = () => this.choose(token)
      })
    }
    for (const one of this.rows) one.bar.style.width = 100 * one.p * grown + "%"
  }

  drawPhase(step, at, u) {
    const words = this.data.words, n = step.layers.length, each = (OUT - IN) / n
    const l = Math.min(n - 1, Math.floor((u - IN) / each)), v = (u - IN - l * each) / each
    const phase = u < IN ? "in" : u >= 1 ? "done" : u >= OUT ? "out" : v < 0.5 ? "attention" : "feedforward"
    const key = `${this.i} ${l} ${phase}`
    if (key === this.shown) return
    this.shown = key
    const layer = step.layers[Math.max(0, l)], name = place => visible(this.tokens[place])
    const p = step.top.find(([token]) => token === step.token)?.[1] ?? 0
    this.parts.readout.textContent = fill(words["phase_" + phase], {
      token: name(at - 1), width: this.data.width, layer: l + 1, next: visible(step.token), p: percent(p),
      from: layer.attended.slice(0, 2).map(([place, weight]) => `${name(place)} (${percent(weight)})`).join(", "),
      norm: (phase === "attention" ? layer.attention : layer.feedforward).toFixed(1),
      lens: visible(layer.lens[0]), lens_p: percent(layer.lens[1]),
    })
    const lit = new Map(phase === "attention" ? layer.attended : [])
    this.spans.forEach((span, place) => {
      span.style.setProperty("--lit", lit.has(place) ? `${Math.round(15 + 40 * lit.get(place))}%` : "0%")
      span.classList.toggle("from", place === at - 1 && phase !== "done")
    })
  }

  // The token drops from its bar into the text.
  fly(at, u) {
    const share = this.playing && !this.still ? (u - DROP) / (1 - DROP) : 0
    this.flyer.style.opacity = share > 0 && share < 1 ? 1 : 0
    if (!(share > 0 && share < 1)) return
    const frame = this.root.getBoundingClientRect()
    const bar = this.rows.find(one => one.button.classList.contains("taken")) ?? this.rows[0]
    const from = bar.word.getBoundingClientRect(), to = this.spans[at].getBoundingClientRect(), s = smooth(share)
    this.flyer.textContent = this.tokens[at].trim() || visible(this.tokens[at])
    const x = from.left + (to.left - from.left) * s - frame.left, y = from.top + (to.top - from.top) * s - frame.top
    this.flyer.style.transform = `translate(${x}px, ${y - 40 * Math.sin(Math.PI * s)}px)`
  }
}

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".living"), known = players.get(parentElement)
  const ask = asked => setTriggerValue("asked", asked)
  if (known?.play === data.play && known.root === root) {
    known.ask = ask
    root.classList.remove("waiting")
    if (known.playing) known.resume()
    return () => known.stop()
  }
  known?.stop()
  root.classList.remove("waiting")
  const player = new Player(root, data, ask, known)
  players.set(parentElement, player)
  return () => player.stop()
}
