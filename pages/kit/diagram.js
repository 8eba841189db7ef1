// Lays out a flow chart: ranks from left to right in as many bands as the width asks for, or, in a narrow window,
// from top to bottom. Boxes are HTML, so that their text wraps as the font wants; arrows are drawn around them.
const SVG = "http://www.w3.org/2000/svg"
const NARROW = 560 // px of width below which ranks follow each other downwards
const COLUMN = 132 // the least width of a box and the gap after it
const GAP = 34, LABEL_GAP = 78, LANE_GAP = 12, TRACK = 9, MOST = 190
const watching = new WeakMap()

export default function flowchart({ data, parentElement }) {
  watching.get(parentElement)?.disconnect()
  const root = parentElement.querySelector(".flow")
  root.setAttribute("aria-label", data.alt)
  const svg = root.querySelector("svg")
  root.querySelectorAll(".box, .word").forEach(element => element.remove())
  const boxes = new Map(data.nodes.map(node => [node.name, makeBox(node, root)]))
  const arrows = data.edges.map(edge => ({ ...edge, word: edge.label ? makeWord(edge.label, root) : null }))
  let width = 0
  const draw = () => {
    if (root.clientWidth === width || !root.clientWidth) return
    width = root.clientWidth
    const plan = width < NARROW ? down(boxes, arrows, width) : across(boxes, arrows, width)
    root.style.height = plan.height + "px"
    svg.setAttribute("height", plan.height)
    svg.querySelector("g").replaceChildren(...plan.lines.map(line))
  }
  const observer = new ResizeObserver(draw)
  observer.observe(root)
  watching.set(parentElement, observer)
  draw()
  const host = root.getRootNode().host
  if (host) {
    const labels = new Map(data.nodes.map(node => [node.name, [node.label, node.sizes.map(([letter, size]) => letter + " " + size).join(" × ")]]))
    host.figure = { root, words: data.alt, data: () => ({
      columns: ["from", "shape", "to", "shape of that", "label"],
      rows: data.edges.map(edge => [...labels.get(edge.source), ...labels.get(edge.target), edge.label ?? ""]),
    }) }
    host.dataset.figure = ""
  }
  return () => observer.disconnect()
}

function makeBox(node, root) {
  const element = document.createElement("div")
  element.className = "box " + node.kind
  const name = document.createElement("span")
  name.textContent = node.label
  element.append(name)
  if (node.sizes.length) {
    const shape = document.createElement("span")
    shape.className = "shape"
    node.sizes.forEach(([letter, size, color], i) => {
      const mark = document.createElement("span")
      mark.textContent = letter + " " + size
      if (color) Object.assign(mark.style, { background: color, color: node.ink, padding: "0 0.25em" })
      shape.append(...(i ? [" × ", mark] : [mark]))
    })
    element.append(shape)
  }
  root.append(element)
  return { element, rank: node.rank, lane: node.lane, lanes: node.lanes }
}

function makeWord(text, root) {
  const element = document.createElement("div")
  element.className = "word"
  element.textContent = text
  root.append(element)
  return element
}

function line(points) {
  const path = document.createElementNS(SVG, "path")
  path.setAttribute("d", "M" + points.map(point => point.map(Math.round).join(" ")).join("L"))
  return path
}

function put(element, left, top) {
  Object.assign(element.style, { left: Math.round(left) + "px", top: Math.round(top) + "px" })
}

// Ranks as columns. An arrow to the next column goes straight; any other leaves into the gap behind its box, runs
// through the gutter below its band and comes in through the gap before its target.
function across(boxes, arrows, width) {
  const starts = bandStarts(boxes, arrows, Math.max(2, Math.floor((width - 2 * GAP) / COLUMN)))
  for (const box of boxes.values()) {
    box.band = starts.findLastIndex(start => start <= box.rank)
    box.column = box.rank - starts[box.band]
  }
  const per = 1 + Math.max(...[...boxes.values()].map(box => box.column))
  const gaps = Array(per).fill(GAP), gutters = Array(starts.length + 1).fill(0)
  for (const arrow of arrows) {
    const a = arrow.a = boxes.get(arrow.source), b = arrow.b = boxes.get(arrow.target)
    arrow.isNext = a.band === b.band && b.column === a.column + 1
    arrow.isAround = b.band > a.band + 1 || b.band < a.band // along the margin
    if (arrow.isNext && arrow.word) gaps[b.column] = LABEL_GAP
    if (!arrow.isNext) arrow.track = gutters[a.band + 1]++
    if (arrow.isAround) arrow.entry = b.column ? gutters[b.band]++ : gutters[b.band]
  }
  const size = Math.min(MOST, (width - GAP - gaps.reduce((sum, gap) => sum + gap)) / per)
  const lefts = []
  gaps.reduce((x, gap) => { lefts.push(x + gap); return x + gap + size }, 0)
  const tops = [] // of the gutters: one above each band, one below the last
  let top = 0
  starts.forEach((_, band) => {
    tops.push(top + 6)
    top += gutters[band] ? gutters[band] * TRACK + 18 : band && LANE_GAP
    const inside = [...boxes.values()].filter(box => box.band === band)
    for (const box of inside) { box.element.style.width = size + "px"; box.height = box.element.offsetHeight }
    const pitch = Math.max(...inside.map(box => box.height)) + LANE_GAP
    const lanes = Math.max(...inside.map(box => box.lanes))
    for (const box of inside) {
      box.x = lefts[box.column]
      box.y = top + pitch * ((lanes - box.lanes) / 2 + box.lane + 0.5)
      put(box.element, box.x, box.y - box.height / 2)
    }
    top += pitch * lanes
  })
  tops.push(top + 6)
  top += gutters.at(-1) ? gutters.at(-1) * TRACK + 18 : 2
  return { height: top, lines: arrows.map(arrow => route(arrow, size, tops)) }
}

function route({ a, b, word, track, entry, isNext, isAround }, size, tops) {
  const out = a.x + size, end = [b.x - 3, b.y]
  if (isNext) {
    const middle = (out + b.x) / 2 + 7 * (a.lane - (a.lanes - 1) / 2)
    if (word) put(word, (out + b.x - word.offsetWidth) / 2, b.y - word.offsetHeight - 3)
    return [[out, a.y], [middle, a.y], [middle, b.y], end]
  }
  const turn = out + 6 + 4 * a.lane, enter = b.x - 14, y = tops[a.band + 1] + track * TRACK
  const x = isAround ? 3 + 5 * entry : enter, above = isAround ? tops[b.band] + entry * TRACK : y
  if (word) {
    word.style.maxWidth = "none"
    const along = 0.4 + 0.2 * (track % 2) // words on neighboring tracks stand beside each other
    put(word, turn + along * (x - turn) - word.offsetWidth / 2, y - word.offsetHeight / 2)
  }
  const begin = [[out, a.y], [turn, a.y], [turn, y]]
  if (!isAround) return [...begin, [enter, y], [enter, b.y], end]
  if (!b.column) return [...begin, [x, y], [x, b.y], end]
  return [...begin, [x, y], [x, above], [enter, above], [enter, b.y], end]
}

// Where bands begin: as few bands as the width asks for, broken where the fewest arrows pass, about as long as each other.
function bandStarts(boxes, arrows, most) {
  const n = 1 + Math.max(...[...boxes.values()].map(box => box.rank)), bands = Math.ceil(n / most)
  const passing = Array.from({ length: n }, (_, rank) => arrows.filter(({ source, target }) =>
    (boxes.get(source).rank < rank) !== (boxes.get(target).rank < rank)).length)
  const uneven = length => 4 * (length / most) ** 2
  const split = (from, left) => { // the best starts of `left` bands from this rank on, with their cost
    if (left === 1) return n - from <= most ? { cost: uneven(n - from), starts: [from] } : null
    let best = null
    for (let next = from + 1; next <= Math.min(from + most, n - 1); next += 1) {
      const rest = split(next, left - 1)
      const cost = rest && rest.cost + passing[next] + uneven(next - from)
      if (rest && (!best || cost < best.cost)) best = { cost, starts: [from, ...rest.starts] }
    }
    return best
  }
  return split(0, bands).starts
}

// Ranks as rows. An arrow past a row runs along the right margin, one that leads back along the left.
function down(boxes, arrows, width) {
  const n = 1 + Math.max(...[...boxes.values()].map(box => box.rank))
  const sides = { left: 0, right: 0 }
  for (const arrow of arrows) {
    arrow.step = boxes.get(arrow.target).rank - boxes.get(arrow.source).rank
    arrow.side = arrow.step === 1 ? null : arrow.step > 1 ? "right" : "left"
    if (arrow.side) arrow.track = sides[arrow.side]++
  }
  const start = sides.left * TRACK + 4, room = width - start - sides.right * TRACK - 4
  const rows = Array.from({ length: n }, (_, rank) => [...boxes.values()].filter(box => box.rank === rank))
  const middles = []
  let top = 0
  rows.forEach((row, rank) => {
    const words = arrows.filter(({ word, source, target, step }) =>
      word && boxes.get(step > 0 ? target : source).rank === rank + (step > 0 ? 0 : -1))
    const gap = rank ? (words.length ? 30 : 22) : 0
    middles.push(top + gap / 2)
    top += gap
    const pitch = room / Math.max(...row.map(box => box.lanes))
    for (const box of row) {
      box.element.style.width = Math.min(MOST, pitch - 8) + "px"
      box.width = box.element.offsetWidth
      box.height = box.element.offsetHeight
      box.x = start + pitch * (box.lane + 0.5)
    }
    const height = Math.max(...row.map(box => box.height))
    for (const box of row) {
      box.y = top + height / 2
      put(box.element, box.x - box.width / 2, box.y - box.height / 2)
    }
    top += height
  })
  middles.push(top + 10)
  const lines = arrows.map(({ source, target, word, step, side, track }) => {
    const a = boxes.get(source), b = boxes.get(target)
    const under = middles[a.rank + 1], over = middles[b.rank], end = [b.x, b.y - b.height / 2 - 3]
    if (word) put(word, (step > 0 ? b : a).x + 5, (step > 0 ? over : under) - word.offsetHeight / 2 + 2)
    const begin = [[a.x, a.y + a.height / 2], [a.x, under]]
    if (!side) return [...begin, [b.x, under], end]
    const x = side === "left" ? 3 + track * TRACK : width - 3 - track * TRACK
    const entry = b.x + (side === "left" ? -10 : 10)
    return [...begin, [x, under], [x, over], [entry, over], [entry, end[1]]]
  })
  return { height: top + (sides.left ? 24 : 4), lines }
}
