// The pass as a motion: time runs along the stages, and every frame is drawn from the time alone.
const SECONDS = { embedding: 0.9, weights: 1.2, mixed: 0.9, probabilities: 1.1, stream: 0.9, other: 0.32 }
const DROP = 1.2 // seconds in which the chosen token falls into the text
const STEP = 1.1 // seconds for each stage where motion is reduced
const MOST = 250 // milliseconds that one frame may advance: a window in the background does not jump ahead

const ease = u => u < 0.5 ? 2 * u * u : 1 - 2 * (1 - u) * (1 - u)
const between = (u, from, to) => clamp((u - from) / (to - from), 0, 1)

function timeline(stages) {
  const lengths = stages.map(stage => SECONDS[stage.kind] ?? (stage.stream ? SECONDS.stream : SECONDS.other))
  const starts = [0]
  for (const length of lengths) starts.push(starts.at(-1) + length)
  const computed = starts.at(-1), streams = stages.filter(stage => stage.stream).map(stage => stage.index)
  return { starts, lengths, computed, total: computed + DROP, streams }
}

// What is seen at a time: the stage being computed, how far it is, and how far the residual stream has come.
function motionAt(map, line, time, reduced = false) {
  const index = clamp(line.starts.findLastIndex(start => start <= time), 0, map.stages.length - 1)
  const u = reduced ? 1 : clamp((time - line.starts[index]) / line.lengths[index], 0, 1)
  const stream = line.streams.findLast(i => i < index || (i === index && u === 1)) ?? 0
  const next = line.streams.find(i => i > stream) ?? map.stages.length - 1
  const began = line.starts[stream + 1] ?? 0, ends = line.starts[next + 1]
  const { kind, layer } = map.stages[index]
  return { index, u, stream, next, time, flows: kind === "mixed" && u < 1 ? layer : null,
    travelled: index === 0 ? 0 : between(time, began, ends),
    drop: between(time, line.computed, line.total),
    grown: i => i < index ? 1 : i === index ? u : 0,
    arcs(layer) {
      const weights = map.stages.find(stage => stage.layer === layer && stage.kind === "weights").index
      return weights < index ? 1 : weights === index ? between(u, 0.3, 1) : 0
    } }
}

function drawMoving(pen, map, frame, motion, stage) {
  const { at } = map, to = at.y[stage.index], u = motion.u
  drawRow(pen, map, frame, stage, to, 0.09)
  if (stage.kind === "mixed") {
    flowAlongArcs(pen, map, frame, stage, u)
    return drawRow(pen, map, frame, stage, to, between(u, 0.7, 1))
  }
  const e = ease(stage.kind === "weights" ? between(u, 0, 0.3) : u)
  if (!stage.from.length) return drawRow(pen, map, frame, stage, to - 40 * (1 - e), e)
  for (const name of stage.from) {
    const from = map.stages[map.places.get(name)]
    if (stage.stream && from.stream) continue // it comes down the residual stream
    const unit = at.y[from.index] + (to - at.y[from.index]) * e
    drawRow(pen, map, frame, from, unit, 0.9 * (1 - e))
    drawRow(pen, map, frame, stage, unit, e)
  }
}

// Values travel from keys to queries, each as large as its attention weight.
function flowAlongArcs(pen, map, frame, stage, u) {
  const band = map.at.bands.get(stage.layer), e = ease(between(u, 0, 0.8))
  for (const [query, key, weight] of map.data.links[stage.layer]) {
    const own = query === map.state.token, [, , , [x, y]] = curveTo(...arcEnds(frame, band, query, key), e)
    pen.dot(x, y, 1.2 + 4.2 * weight, own ? map.colors.hot : map.colors.deep, (own ? 1 : 0.6) * (1 - between(u, 0.8, 1)))
  }
}

// In each column the vector of the residual stream travels to the next addition, drawn as a few of its numbers.
function drawStream(pen, map, frame, motion) {
  const { at, colors, tokens } = map, from = map.stages[motion.stream], to = map.stages[motion.next]
  if (motion.index > motion.stream && to.stream) {
    const y0 = at.y[from.index] + at.h[from.index], y = frame.y(y0 + (at.y[to.index] - y0) * motion.travelled)
    const cell = clamp(frame.sx * 0.11, 3, 7), slices = map.slices(from)
    for (let t = tokens.length - map.data.fresh; t < tokens.length; t += 1) {
      const x = laneX(frame, t), own = t === map.state.token
      pen.line(x, frame.y(y0), x, y, own ? colors.hot : colors.deep, own ? 3 : 2.2, own ? 0.9 : 0.45)
      slices[t - from.first]?.forEach((color, k) => pen.rect(x - cell / 2, y - cell * (k - 2), cell, cell, color, { alpha: 0.95 }))
    }
  }
  const stage = map.stages[motion.index]
  if (!stage.stream || motion.u === 1 || !motion.index) return
  for (let t = stage.first; t < tokens.length; t += 1) { // the branch is added
    const x = laneX(frame, t), y = frame.y(at.y[stage.index] + STREAM / 2)
    const color = t === map.state.token ? colors.hot : colors.deep
    pen.dot(x, y, 3 + 9 * motion.u, color, 0.5 * (1 - motion.u))
    pen.text("+", x, y + 4.5, { size: clamp(frame.sx * 0.5, 10, 15), weight: 700, align: "middle", color, alpha: 1 - motion.u })
  }
}

function slicesOf(stage) {
  return Array.from({ length: stage.rows }, (_, row) => Array.from({ length: 5 }, (_, k) => {
    const size = Math.floor(stage.columns / 5), value = stage.values()[row * stage.columns + largestDrawn(stage, row, k * size, (k + 1) * size)]
    const [red, green, blue] = value >= 0 ? MORE : LESS
    return `rgb(${red} ${green} ${blue} / ${(0.25 + 0.75 * Math.min(1, Math.abs(value) / stage.scale)).toFixed(2)})`
  }))
}

// Plays, pauses and seeks; tells `changed` of each frame and `arrived` of each new stage.
function player(map, { changed, arrived, stopped }) {
  const line = timeline(map.stages), reduced = matchMedia("(prefers-reduced-motion: reduce)")
  const intervals = []
  let time = line.total, playing = false, active = false, last = 0, speed = 1, frames = 0, waited = 0
  const stageAt = () => motionAt(map, line, time).index

  function advance(now) {
    if (!playing) return
    const passed = Math.min(MOST, now - last)
    last = now
    intervals.push(passed)
    if (intervals.length > 1200) intervals.shift()
    const before = stageAt()
    if (reduced.matches) {
      waited += passed * speed / 1000
      if (waited >= STEP) { waited = 0; time = time >= line.computed ? line.total : line.starts[before + 1] + 1e-6 }
    } else time += passed * speed / 1000
    frames += 1
    if (time >= line.total) { time = line.total; pause() }
    if (stageAt() !== before) arrived(stageAt())
    Object.assign(map.root.dataset, { frames, time: time.toFixed(3) })
    changed()
  }
  function play() {
    if (time >= line.total || !active) { time = time >= line.total ? 0 : time; arrived(stageAt()) }
    active = playing = true
    waited = 0
    last = performance.now()
    changed()
  }
  function pause() {
    if (!playing) return
    playing = false
    const sorted = intervals.toSorted((a, b) => a - b)
    map.root.dataset.frame = (sorted[sorted.length >> 1] ?? 0).toFixed(1) // the median, in milliseconds
    stopped()
  }
  return { line, advance, play, pause, reduced,
    playing: () => playing,
    toggle: () => playing ? pause() : play(),
    // Shows the whole pass again, and remembers where to play on.
    leave(stage) { active = false; time = stage === map.stages.length - 1 ? line.total : line.starts[stage] },
    seek(seconds) { active = true; time = clamp(seconds, 0, line.total); arrived(stageAt()); changed() },
    // Shows a paused pass up to the end of a stage; where all of it is in view, only where to play on.
    step(stage) { time = active ? line.starts[stage + 1] - 1e-6 : line.starts[stage] },
    speed(factor) { speed = factor },
    time: () => time,
    motion: () => active && time < line.total ? motionAt(map, line, time, reduced.matches) : null }
}
