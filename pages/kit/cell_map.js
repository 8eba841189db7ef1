// A matrix drawn on a canvas, of which any cell can be chosen; Python answers with the formula of the chosen one.
const maps = new WeakMap()
const MORE = [42, 134, 196], LESS = [213, 94, 0]
const LABEL = 13 // pixels that a name beside the map needs
const TALLEST = 420 // pixels of all rows together, as long as a row keeps SMALLEST
const NARROW = 480, LOW = 280 // on a phone the map is lower, so that map and formula are in view together
const SMALLEST = 4
const WIDEST_NAME = 140
const BESIDE = 720 // pixels from which on the formula stands beside the map
const DEGREES = Math.PI / 4

export default function ({ data, parentElement, setTriggerValue }) {
  const root = parentElement.querySelector(".cell-map")
  if (!maps.has(root)) maps.set(root, build(root))
  const map = maps.get(root)
  map.choose = cell => setTriggerValue("chosen", cell)
  map.update(data)
  return () => { map.size.disconnect(); maps.delete(root) }
}

const shown = value => Number.isFinite(value)
  ? (value && Math.abs(value) < 1e-3 ? value.toExponential(1) : String(Number(value.toPrecision(3)))).replace("-", "−") : "none"
const clamp = (value, low, high) => Math.max(low, Math.min(high, value))

function make(tag, name, parent, text) {
  const element = document.createElement(tag)
  if (name) element.className = name
  if (text !== undefined) element.textContent = text
  parent?.append(element)
  return element
}

function floats(text) {
  return new Float32Array(Uint8Array.from(atob(text), sign => sign.charCodeAt(0)).buffer)
}

function build(root) {
  const part = name => root.querySelector("." + name)
  const scroll = part("scroll"), plot = part("plot"), top = part("top"), side = part("side"), cells = part("cells")
  const canvas = root.querySelector("canvas"), band = part("band"), frame = part("frame")
  const readout = part("readout"), answer = part("answer")
  const fields = [...root.querySelectorAll("input")]
  const map = { choose: () => {}, size: new ResizeObserver(() => draw()) }
  let data, values, n, m, w, h, at = [0, 0], chosen = [0, 0], sent = null, width = 0
  const font = size => `${size}px ${getComputedStyle(root).fontFamily}`
  const drawnAt = (row, column) => Math.floor(row / data.step) * m + Math.floor(column / data.step)
  const nameOf = (kind, i) => {
    const [title, names] = kind === "row" ? [data.row_title, data.rows] : [data.column_title, data.columns]
    return `${title} ${names[i]}`.trim()
  }
  const valueOf = (row, column) => data.texts?.[row]?.[column] || shown(values[drawnAt(row, column)])
  const label = (row, column) => `${nameOf("row", row)}, ${nameOf("column", column)}: ${data.what}${data.step > 1 ? ", mean of its block," : ""} ${valueOf(row, column)}`

  map.update = given => {
    const before = data
    data = given
    if (before?.values !== data.values || before.step !== data.step) values = floats(data.values)
    m = Math.ceil(data.columns.length / data.step)
    n = Math.ceil(data.rows.length / data.step)
    root.classList.remove("waiting")
    const was = chosen
    chosen = data.chosen
    if (sent === null || String(was) !== String(chosen) || !exists(at)) at = [...chosen]
    sent = null
    cells.setAttribute("aria-label", data.alt)
    cells.setAttribute("aria-rowcount", data.rows.length)
    cells.setAttribute("aria-colcount", data.columns.length)
    fields.forEach((field, i) => {
      field.min = data.first[i]
      field.max = data.first[i] + (i ? data.columns : data.rows).length - 1
      field.disabled = data.locked
    })
    fill(before && root.getRootNode().activeElement)
    part("thinned").textContent = data.note
    const axes = [["rows", data.row_title], ["columns", data.column_title]]
      .filter(([side, title]) => title && !side.startsWith(title)).map(([side, title]) => `${side}: ${title}`).join(", ")
    part("axes").textContent = axes.charAt(0).toUpperCase() + axes.slice(1)
    tell(chosen)
    write()
    width = 0
    draw()
    offer()
  }
  // The tools under a figure save the map and its numbers.
  const offer = () => {
    const host = root.getRootNode().host
    if (!host) return
    const head = (title, otherwise) => title ? [otherwise, title] : [otherwise, otherwise + " name"]
    host.figure = { root: plot, words: data.alt, data: () => ({
      columns: [...head(data.row_title, "row"), ...head(data.column_title, "column"), data.what],
      rows: data.rows.flatMap((row, i) => data.columns.map((column, j) =>
        [i + data.first[0], row, j + data.first[1], column, values[drawnAt(i, j)]])),
    }) }
    host.dataset.figure = ""
  }
  const fill = typedIn => fields.forEach((field, i) => { if (field !== typedIn) field.value = chosen[i] + data.first[i] })
  const exists = ([row, column]) => row < data.rows.length && column < data.columns.length

  function measure(names) {
    const pen = canvas.getContext("2d")
    pen.font = font(11.5)
    return Math.min(WIDEST_NAME, Math.max(0, ...names.map(name => pen.measureText(name).width)))
  }

  function draw() {
    if (!data || !root.clientWidth || root.clientWidth === width) return
    width = root.clientWidth
    const rowNames = Math.max(measure(data.rows), 18) + 10, columnNames = measure(data.columns)
    const pen = canvas.getContext("2d")
    pen.font = font(12.5)
    const text = data.texts ? Math.max(0, ...data.texts.flat().map(one => pen.measureText(one).width)) + 8 : 0
    const tallest = Math.min(data.height || TALLEST, width < NARROW ? LOW : TALLEST)
    h = clamp(Math.floor(tallest / n), data.texts ? 22 : SMALLEST, data.texts ? 34 : 26)
    const beside = width >= BESIDE
    root.classList.toggle("beside", beside)
    const room = (beside ? 0.55 * width : width) - rowNames - 2
    const widest = Math.max(data.texts ? 84 : Math.max((n === m ? 1.3 : 2.4) * h, LABEL), m <= 8 ? columnNames + 10 : 0)
    const fit = space => clamp(Math.floor(space / m), Math.max(text, SMALLEST), Math.max(widest, text))
    const tilted = columnNames > fit(room) - 4
    const slant = tilted ? Math.ceil(columnNames * Math.sin(DEGREES)) : 0
    w = fit(room - slant)
    const head = tilted ? slant + 14 : 18
    Object.entries({ "--side": rowNames, "--head": head, "--width": w * m, "--height": h * n, "--slant": slant })
      .forEach(([name, pixels]) => root.style.setProperty(name, pixels + "px"))
    names(side, data.rows, h, Math.ceil(LABEL / h), 0, false)
    names(top, data.columns, w, Math.ceil((tilted ? LABEL : columnNames + 4) / w), 1, tilted)
    paint()
    place(band, [data.mark_row === null ? 0 : data.mark_row, 0], m)
    band.hidden = data.mark_row === null
    place(frame, chosen, 1)
    hold(false)
  }

  function names(parent, given, size, every, axis, tilted) {
    const shownAt = i => Math.floor(i / data.step)
    const here = shownAt(chosen[axis])
    const listed = []
    for (let i = 0; i < given.length; i += data.step) {
      const j = shownAt(i), close = Math.abs(j - here) < every
      if (j === here || (j % every === 0 && !close)) listed.push([j, given[j === here ? chosen[axis] : i]])
    }
    parent.replaceChildren(...listed.map(([j, name]) => {
      const one = make("span", (tilted ? "tilted" : "") + (j === here ? " here" : ""), null, name)
      one.style.setProperty("--at", (j + 0.5) * size + "px")
      return one
    }))
  }

  function paint() {
    const ratio = window.devicePixelRatio || 1, gap = Math.min(w, h) >= 6 ? 1 : 0
    canvas.width = Math.round(w * m * ratio)
    canvas.height = Math.round(h * n * ratio)
    const pen = canvas.getContext("2d")
    pen.scale(ratio, ratio)
    const page = luminance(colorOf("--st-background-color"))
    pen.font = font(12.5)
    pen.textAlign = "center"
    pen.textBaseline = "middle"
    for (let row = 0; row < n; row += 1) for (let column = 0; column < m; column += 1) {
      const value = values[row * m + column], color = value < 0 ? LESS : MORE
      const depth = Number.isFinite(value) ? clamp(Math.abs(value) / data.top, 0, 1) * 0.96 + 0.04 : 0
      if (depth) {
        pen.fillStyle = `rgba(${color}, ${depth})`
        pen.fillRect(column * w, row * h, w - gap, h - gap)
      }
      const text = data.texts?.[row]?.[column]
      if (!text) continue
      const under = page * (1 - depth) + luminance(color) * depth
      pen.fillStyle = under > 0.18 ? "#06111A" : "#F4F7F9"
      pen.fillText(text, (column + 0.5) * w - gap / 2, (row + 0.5) * h)
    }
  }

  function colorOf(name) {
    const pen = canvas.getContext("2d")
    pen.fillStyle = getComputedStyle(root).getPropertyValue(name).trim() || "#FFFFFF"
    const hex = pen.fillStyle
    return hex.startsWith("#") ? [1, 3, 5].map(i => parseInt(hex.slice(i, i + 2), 16)) : [255, 255, 255]
  }

  function luminance(color) {
    const [red, green, blue] = color.map(part => part / 255).map(c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }

  function place(element, [row, column], across) {
    const [i, j] = [Math.floor(row / data.step), Math.floor(column / data.step)]
    const around = element === frame ? Math.max(0, 8 - Math.min(w, h)) / 2 : 0 // a small cell is framed from outside
    Object.assign(element.style, { left: j * w - around + "px", top: i * h - around + "px",
      width: across * w + 2 * around + "px", height: h + 2 * around + "px" })
  }

  // One live cell stands for all: a reader of the screen meets row and column by number and the cell's own words.
  function hold(focus) {
    const row = make("div", ""), cell = make("div", "cell", row)
    row.setAttribute("role", "row")
    row.setAttribute("aria-rowindex", at[0] + 1)
    Object.entries({ role: "gridcell", tabindex: 0, "aria-colindex": at[1] + 1, "aria-label": label(...at),
      "aria-selected": String(at) === String(chosen) }).forEach(([name, value]) => cell.setAttribute(name, value))
    const had = cells.contains(root.getRootNode().activeElement)
    cells.querySelector("[role=row]")?.remove()
    cells.append(row)
    place(cell, at, 1)
    if (focus || had) cell.focus({ preventScroll: true })
    if (!focus) return
    const box = scroll.getBoundingClientRect(), here = cell.getBoundingClientRect()
    const left = box.left + side.offsetWidth, above = box.top + top.offsetHeight
    if (here.left < left) scroll.scrollLeft -= left - here.left
    if (here.right > box.right) scroll.scrollLeft += here.right - box.right
    if (here.top < above) scroll.scrollTop -= above - here.top
    if (here.bottom > box.bottom) scroll.scrollTop += here.bottom - box.bottom
  }

  function tell(cell) { readout.textContent = label(...cell) }

  function pick(cell, focus) {
    if (data.locked || !exists(cell)) return
    at = chosen = cell
    sent = cell
    fill()
    root.classList.add("waiting")
    width = 0
    draw()
    hold(focus)
    tell(cell)
    map.choose(cell)
  }

  const under = event => {
    const box = cells.getBoundingClientRect()
    const row = clamp(Math.floor((event.clientY - box.top) / h), 0, n - 1) * data.step
    return [row, clamp(Math.floor((event.clientX - box.left) / w), 0, m - 1) * data.step]
  }
  cells.onclick = event => pick(under(event), true)
  cells.onmousemove = event => tell(under(event))
  cells.onmouseleave = () => tell(chosen)
  cells.onkeydown = event => {
    const [rows, columns] = [data.rows.length - 1, data.columns.length - 1]
    const far = event.ctrlKey || event.metaKey
    const to = { ArrowUp: [at[0] - 1, at[1]], ArrowDown: [at[0] + 1, at[1]], ArrowLeft: [at[0], at[1] - 1],
      ArrowRight: [at[0], at[1] + 1], Home: [far ? 0 : at[0], 0], End: [far ? rows : at[0], columns],
      PageUp: [at[0] - 10, at[1]], PageDown: [at[0] + 10, at[1]] }[event.key]
    if (to) {
      at = [clamp(to[0], 0, rows), clamp(to[1], 0, columns)]
      hold(true)
      tell(at)
    } else if (event.key === "Enter" || event.key === " ") pick([...at], true)
    else return
    event.preventDefault()
  }
  fields.forEach(field => {
    field.onchange = () => pick(fields.map(one => clamp(Math.round(+one.value), +one.min, +one.max) - one.min), false)
  })

  // The formula: a line for each thing computed, its numbers put in; the operands below, folded.
  function raised(parent, text) {
    text.split(/\^\{([^}]*)\}/).forEach((one, i) => i % 2 ? make("sup", "", parent, one) : parent.append(one))
  }

  function write() {
    const open = [...answer.querySelectorAll("details")].map(one => one.open)
    const list = make("div", "")
    make("p", "title", list, data.answer.title)
    data.answer.lines.forEach(([name, terms, result]) => {
      const line = make("p", "line", list)
      make("span", "name", line, name)
      const sum = make("span", "sum", line)
      raised(sum, terms)
      if (result) {
        sum.append(terms ? " = " : "")
        make("b", "", sum, result)
      }
    })
    data.answer.tables.forEach((given, i) => list.append(operands(given, open[i])))
    answer.replaceChildren(...list.childNodes)
  }

  function operands(given, open) {
    const fold = make("details", "")
    fold.open = open
    make("summary", "", fold, given.title)
    const box = make("div", "wide", fold), table = make("table", "", box)
    box.tabIndex = 0
    box.setAttribute("role", "region")
    box.setAttribute("aria-label", given.title)
    const head = make("tr", "", make("thead", "", table)), body = make("tbody", "", table)
    make("td", "", head)
    given.columns.forEach(name => make("th", "", head, name))
    given.rows.forEach(([name, numbers]) => {
      const row = make("tr", "", body)
      make("th", "", row, name)
      numbers.forEach(number => make("td", "", row, number))
    })
    return fold
  }

  map.size.observe(root)
  return map
}
