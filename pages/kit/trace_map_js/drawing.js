// The map: tokens across, stages downwards. One function draws it, with a pen for the screen or a pen for SVG.
const MORE = [42, 134, 196], LESS = [213, 94, 0] // above zero, below zero
const THIN = 10, STREAM = 24, BAND = 48, GAP = 18, FOOT = 130 // heights, in units of the map
const MARGIN = 36 // pixels right of the last column, for the ends of slanted words
const LANE = 0.16 // of a column, left of its numbers: the residual stream

const STREAM_ROWS = stage => stage.stream ? STREAM : THIN

function layout(stages) {
  const at = { y: [], h: [], bands: new Map(), plates: [], parts: [] }
  let y = 0, before = stages[0].layer
  for (const stage of stages) {
    if (stage.layer !== before) { y += GAP; before = stage.layer }
    const height = STREAM_ROWS(stage)
    at.y.push(y)
    at.h.push(height)
    grow(at.parts, `${stage.layer} ${stage.part}`, stage, y, y + height)
    if (stage.layer !== null) grow(at.plates, stage.layer, stage, y - 5, y + height + 5)
    y += height + (stage.stream ? 4 : 2)
    if (stage.kind === "weights") { at.bands.set(stage.layer, [y, y + BAND - 4]); y += BAND }
  }
  at.foot = y
  at.height = y + FOOT
  return at
}

function grow(spans, name, stage, top, bottom) {
  const last = spans.at(-1)
  if (last?.name === name) last.bottom = bottom
  else spans.push({ name, layer: stage.layer, part: stage.part, top, bottom })
}

// What part of the map fills the canvas, as functions from tokens and units to pixels.
function frameOf(map, view, w, h) {
  const gutter = w < 480 ? 88 : 112, head = 64
  const sx = (w - gutter - MARGIN) / (view.x1 - view.x0), sy = (h - head) / (view.y1 - view.y0)
  return { w, h, gutter, head, sx, sy, view,
    x: token => gutter + (token - view.x0) * sx, y: unit => head + (unit - view.y0) * sy,
    token: x => view.x0 + (x - gutter) / sx, unit: y => view.y0 + (y - head) / sy }
}

// A row of the map as an image one pixel high: a cell for each number or for the largest of its neighbors.
function rowImage(map, stage, cells) {
  const n = map.tokens.length, size = Math.ceil(stage.columns / cells), count = Math.ceil(stage.columns / size)
  const gap = Math.max(1, Math.round(count * LANE / (1 - LANE - 0.05))), end = Math.max(1, Math.round(gap * 0.3))
  const image = document.createElement("canvas")
  image.width = n * (count + gap + end)
  image.height = 1
  const context = image.getContext("2d"), pixels = context.createImageData(image.width, 1)
  for (let row = 0; row < stage.rows; row += 1)
    for (let k = 0; k < count; k += 1) {
      const drawn = largestDrawn(stage, row, k * size, (k + 1) * size)
      const value = stage.values()[row * stage.columns + drawn]
      if (!Number.isFinite(value)) continue
      const [red, green, blue] = value >= 0 ? MORE : LESS
      pixels.data.set([red, green, blue, 255 * Math.min(1, Math.abs(value) / stage.scale) ** 0.8],
        4 * ((stage.first + row) * (count + gap + end) + gap + k))
    }
  context.putImageData(pixels, 0, 0)
  return Object.assign(image, { count, size, gap, step: count + gap + end })
}

function rowOf(map, stage, sx) {
  const most = Math.max(14, Math.floor(12000 / map.tokens.length / 1.3))
  const cells = Math.min(stage.columns, most, sx < 60 ? 14 : sx < 110 ? 40 : 4096)
  return map.rows[stage.index].get(cells) ?? map.rows[stage.index].set(cells, rowImage(map, stage, cells)).get(cells)
}

function drawMap(pen, map, frame, motion) {
  const { colors, at, state, tokens } = map, { w, h, gutter, head } = frame
  const front = motion ? motion.index : map.stages.length
  pen.rect(0, 0, w, h, colors.paper)
  pen.clip(gutter - 4, head, w - gutter + 4, h - head)
  for (const plate of at.plates)
    pen.rect(gutter - 4, frame.y(plate.top), w - gutter - 2, (plate.bottom - plate.top) * frame.sy, colors.plate, { radius: 8 })
  if (state.other !== null) pen.rect(frame.x(state.other), head, frame.sx, h, colors.cool, { alpha: 0.13 })
  pen.rect(frame.x(state.token), head, frame.sx, h, colors.hot, { alpha: 0.1 })
  drawLanes(pen, map, frame, motion)
  for (const stage of map.stages) {
    const y = frame.y(at.y[stage.index]), height = at.h[stage.index] * frame.sy
    if (y > h || y + height < head) continue
    if (stage.index === front) drawMoving(pen, map, frame, motion, stage)
    else drawRow(pen, map, frame, stage, at.y[stage.index], stage.index < front ? 1 : 0.09)
    if (stage.stream && stage.index <= front) drawSaid(pen, map, frame, stage, stage.index < front ? 1 : motion.u)
  }
  drawArcs(pen, map, frame, motion)
  if (map.at.foot < frame.view.y1) drawFoot(pen, map, frame, motion)
  drawMarks(pen, map, frame)
  pen.unclip()
  drawGutter(pen, map, frame)
  drawHeader(pen, map, frame)
}

function drawRow(pen, map, frame, stage, unit, alpha = 1) {
  const word = stage.stream ? stage.index && STREAM - THIN : 0
  pen.row(rowOf(map, stage, frame.sx), frame.x(0), frame.y(unit + word), frame.sx * map.tokens.length,
    Math.max(2, (stage.stream ? STREAM - word : THIN) * frame.sy), alpha)
}

const laneX = (frame, token) => frame.x(token) + frame.sx * LANE / 2

function drawLanes(pen, map, frame, motion) {
  const { at, colors, tokens } = map, end = map.stages.findLastIndex(stage => stage.stream)
  const top = frame.y(at.y[0]), done = frame.y(at.y[motion ? motion.stream : end]), foot = frame.y(at.foot)
  for (let t = 0; t < tokens.length; t += 1) {
    const faint = t < tokens.length - map.data.fresh
    pen.line(laneX(frame, t), top, laneX(frame, t), foot, colors.ink, 1.5, 0.1)
    pen.line(laneX(frame, t), top, laneX(frame, t), done, t === map.state.token ? colors.hot : colors.ink, 2, faint ? 0.12 : 0.42)
  }
}

function drawSaid(pen, map, frame, stage, alpha) {
  const size = clamp(8 * frame.sy, 0, 12)
  if (size < 7.5 || frame.sx < 20) return
  const most = Math.floor(frame.sx / size / 0.56), final = map.stages.at(-1)
  stage.said.forEach((row, i) => {
    const [word, , p] = row[0], token = stage.first + i
    const settled = final.said[token - final.first]?.[0][0] === word
    pen.text(short(word.replace(/^␣(?=.)/, ""), most), frame.x(token + 0.58), frame.y(map.at.y[stage.index]) + size + 0.5, { size, align: "middle",
      weight: settled ? 700 : 500, color: settled ? map.colors.deep : map.colors.ink, alpha: alpha * (0.45 + 0.55 * p), halo: map.colors.plate })
  })
}

const short = (text, most) => text.length > most ? text.slice(0, Math.max(1, most - 1)) + "…" : text

function drawArcs(pen, map, frame, motion) {
  map.data.links.forEach((links, layer) => {
    const band = map.at.bands.get(layer)
    if (!band || frame.y(band[0]) > frame.h || frame.y(band[1]) < frame.head) return
    const grown = motion ? motion.arcs(layer) : 1
    if (!grown) return
    const lively = grown < 1 || motion?.flows === layer ? 1.8 : 1, thick = clamp(frame.sy * 1.2, 0.6, 2.4)
    for (const own of [false, true])
      for (const [query, key, weight] of links) {
        if (own !== (query === map.state.token)) continue
        pen.arc(...arcEnds(frame, band, query, key), own ? map.colors.hot : map.colors.deep,
          thick * (0.5 + 4 * weight), Math.min(1, lively * (own ? 0.35 + 0.65 * weight : 0.1 + 0.3 * weight)), grown)
      }
  })
}

const arcEnds = (frame, band, query, key) =>
  [frame.x(key + 0.58), frame.y(band[0]), frame.x(query + 0.58), frame.y(band[1])]

// Where columns are narrow, only every second or third slanted word has room, and the chosen token always.
function skipped({ state }, frame, token) {
  const every = Math.ceil(10.5 / frame.sx), far = Math.abs(token - state.token)
  return token !== state.token && (far < every || token % every > 0)
}

function drawFoot(pen, map, frame, motion) {
  const last = map.stages.at(-1), grown = motion ? motion.grown(last.index) : 1
  if (!grown) return
  const top = frame.y(map.at.foot) + 2, size = clamp(frame.sx * 0.55, 9.5, 12)
  last.said.forEach((row, i) => {
    const [word, , p] = row[0], token = last.first + i, crowded = skipped(map, frame, token), moved = (map.data.was[token] ?? word) !== word
    const x = frame.x(token + LANE + 0.02)
    pen.rect(x, top, frame.sx * (0.94 - LANE) * p * grown, 5, token === map.state.token ? map.colors.hot : map.colors.deep, { radius: 2 })
    if (!crowded) pen.text(short(word, 11), x + 2, top + 16, { size, turn: 48, weight: moved ? 700 : 500, color: moved ? map.colors.hot : map.colors.ink, alpha: grown })
  })
}

function drawMarks(pen, map, frame) {
  const { at, state, colors } = map, stage = map.stages[state.stage]
  const y = frame.y(at.y[state.stage]), height = at.h[state.stage] * frame.sy
  pen.rect(frame.x(0), y - 1, frame.sx * map.tokens.length, height + 2, null, { stroke: colors.hot, width: 0.8, alpha: 0.8 })
  pen.rect(frame.x(state.token), y - 2, frame.sx, height + 4, null, { stroke: colors.hot, width: 2.2, radius: 2 })
  const image = rowOf(map, stage, frame.sx), drawn = stage.drawn(map.column())
  if (drawn < 0 || state.token < stage.first) return
  const px = frame.sx / image.step, x = frame.x(state.token) + px * (image.gap + Math.floor(drawn / image.size))
  pen.rect(x - 1, y - 3.5, Math.max(3, px + 2), height + 7, null, { stroke: colors.ink, width: 1.6, radius: 1.5 })
}

function drawGutter(pen, map, frame) {
  const { at, colors, say, state } = map, { gutter, head, h } = frame
  pen.rect(0, head, gutter - 5, h - head, colors.paper)
  pen.clip(0, head, gutter - 4, h - head)
  for (const plate of at.plates) {
    const top = frame.y(plate.top), height = (plate.bottom - plate.top) * frame.sy
    const low = Math.max(top, head), high = Math.min(top + height, h)
    pen.rect(4, top, gutter - 10, height, colors.plate, { radius: 8 })
    if (high - low > 46)
      pen.text(`${say.block} ${plate.layer + 1}`, 17, (low + high) / 2, { size: 11, weight: 600, align: "middle", turn: -90, color: colors.ink, alpha: 0.75 })
  }
  const rows = THIN * frame.sy >= 8.5
  for (const stage of map.stages) {
    const chosen = stage.index === state.stage
    if (!rows && !(chosen || (stage.layer === null && stage.stream))) continue
    const y = frame.y(at.y[stage.index] + at.h[stage.index] / 2) + 3.5
    pen.text(short(map.title(stage), gutter < 100 ? 9 : 16), gutter - 10, y, { size: rows ? clamp(THIN * frame.sy, 8.5, 12) : 10.5, align: "end",
      weight: chosen || stage.stream ? 650 : 400, color: chosen ? colors.hot : colors.ink, alpha: chosen || stage.stream ? 1 : 0.75 })
  }
  if (!rows) {
    const chosen = frame.y(at.y[state.stage] + at.h[state.stage] / 2)
    for (const part of at.parts) {
      const y = frame.y((part.top + part.bottom) / 2)
      if (part.layer !== null && Math.abs(y - chosen) > 13)
        pen.text(map.part(part), gutter - 10, y + 4, { size: gutter < 100 ? 9 : 10.5, align: "end", color: colors.ink, alpha: 0.8 })
    }
  }
  pen.unclip()
}

function drawHeader(pen, map, frame) {
  const { w, gutter, head } = frame, { tokens, state, colors } = map
  pen.rect(0, 0, w, head - 2, colors.paper)
  pen.clip(gutter - 6, 0, w - gutter + 6, head)
  tokens.forEach((token, t) => {
    if (skipped(map, frame, t)) return
    const color = t === state.token ? colors.hot : t === state.other ? colors.cool : colors.ink
    pen.text(short(token, 11), frame.x(t + 0.5), head - 7, { size: clamp(frame.sx * 0.6, 9.5, 12.5), turn: -48,
      weight: color === colors.ink ? 500 : 700, color })
  })
  pen.unclip()
}
