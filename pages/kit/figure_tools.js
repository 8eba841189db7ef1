// Under every figure: save it as PNG or SVG, save its data as CSV, and show the data as a table.
//
// One component a page looks for figures and puts a small button of its own behind each. What it saves is read from
// the figure as it is drawn, in the browser: a zoomed or changed figure is saved as it is seen.

// A figure that Plotly did not draw carries `figure`: its root, its words and a function that returns its data.
const FIGURES = '[data-testid="stPlotlyChart"], [data-figure]'
const SHOWN_ROWS = 200
// The button stands in the gap below the box of a figure, which Streamlit gives the figure's height and makes scroll.
const ROOM = '[data-testid="stElementContainer"]:has(> .figure-tools) { overflow: visible !important; }'
const NS = "http://www.w3.org/2000/svg"
const running = new WeakMap()
const open = new Set()  // keys of figures whose table is shown: a figure that is drawn again keeps it

export default function ({ parentElement, data }) {
  running.get(parentElement)?.()
  const main = document.querySelector('[data-testid="stMain"]')
  if (!main) return
  const style = document.createElement("style")
  style.textContent = ROOM
  document.head.append(style)
  const attach = () => {
    for (const element of main.querySelectorAll(FIGURES)) {
      const box = element.closest('[data-testid="stElementContainer"]')
      if (!drawn(element) || !box) continue
      const tools = box.querySelector(":scope > .figure-tools")
      tools ? tools.refresh() : box.append(toolsFor(element, box, data.css))
    }
    for (const tools of main.querySelectorAll(".figure-tools"))
      if (!tools.parentElement.querySelector(FIGURES)) {
        tools.parentElement.style.marginBottom = ""
        tools.remove()
      }
  }
  let waiting = false
  const soon = () => {
    if (waiting) return
    waiting = true
    requestAnimationFrame(() => { waiting = false; attach() })
  }
  const observer = new MutationObserver(soon)
  observer.observe(main, { childList: true, subtree: true })
  attach()
  const stop = () => {
    observer.disconnect()
    style.remove()
  }
  running.set(parentElement, stop)
  return stop
}

const plot = element => element.querySelector(".js-plotly-plot")
const drawn = element => element.figure ?? plot(element)?._fullLayout?._size
const stateOf = element => element.figure ?? plot(element)?._fullData
const keyOf = box => [...box.classList].find(name => name.startsWith("st-key-"))?.slice(7)
const wordsFor = element => element.figure?.words ?? element.getAttribute("aria-label") ?? ""
const fileName = (element, box) =>
  keyOf(box) ?? (wordsFor(element).toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 40).replace(/^-|-$/g, "") || "figure")

function toolsFor(element, box, css) {
  const tools = document.createElement("div")
  tools.className = "figure-tools"
  const root = tools.attachShadow({ mode: "open" })
  root.innerHTML = `<style>${css}</style>
<button class="more" type="button" aria-haspopup="menu" aria-expanded="false">Save or show data</button>
<div class="menu" role="menu" popover>
<button type="button" role="menuitem" data-do="png">Save picture as PNG</button>
<button type="button" role="menuitem" data-do="svg">Save picture as SVG</button>
<button type="button" role="menuitem" data-do="csv">Save data as CSV</button>
<button type="button" role="menuitem" data-do="table">Show data as a table</button>
</div><div class="table" hidden></div>`
  const more = root.querySelector(".more"), menu = root.querySelector(".menu"), table = root.querySelector(".table")
  const name = fileName(element, box)
  const figure = () => box.querySelector(FIGURES)
  let shownData = null

  const showTable = () => {
    const figureNow = figure()
    shownData = stateOf(figureNow)
    table.style.setProperty("--paper", pageColor())
    table.replaceChildren(tableOf(dataOf(figureNow), wordsFor(figureNow)))
  }
  const setTable = on => {
    on ? open.add(name) : open.delete(name)
    if (on) showTable()
    table.hidden = !on
    box.style.marginBottom = on ? `${tools.offsetHeight}px` : ""
    root.querySelector("[data-do=table]").textContent = on ? "Hide the table" : "Show data as a table"
  }
  const work = {
    png: async () => save(`${name}.png`, await pngOf(await svgOf(figure()))),
    svg: async () => save(`${name}.svg`, new Blob([(await svgOf(figure())).text], { type: "image/svg+xml" })),
    csv: async () => save(`${name}.csv`, new Blob(["\ufeff" + csvOf(dataOf(figure()))], { type: "text/csv" })),
    table: () => setTable(table.hidden),
  }
  more.onclick = () => menu.togglePopover()
  menu.ontoggle = event => {
    const isOpen = event.newState === "open"
    more.setAttribute("aria-expanded", isOpen)
    if (!isOpen) return
    menu.style.background = pageColor()
    const at = more.getBoundingClientRect(), height = menu.offsetHeight
    menu.style.left = `${Math.max(8, at.right - menu.offsetWidth)}px`
    menu.style.top = `${at.bottom + height < innerHeight ? at.bottom : Math.max(8, at.top - height)}px`
    menu.querySelector("button").focus({ preventScroll: true })
  }
  menu.onclick = async event => {
    const todo = event.target.dataset.do
    if (!todo) return
    menu.hidePopover()
    more.focus({ preventScroll: true })
    await work[todo]()
  }
  menu.onkeydown = event => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (!step) return
    event.preventDefault()
    const items = [...menu.querySelectorAll("button")]
    items.at((items.indexOf(root.activeElement) + step) % items.length).focus()
  }
  tools.refresh = () => {
    const now = stateOf(figure())
    if (!table.hidden && now && now !== shownData) showTable()
  }
  if (open.has(name)) setTable(true)
  return tools
}

const pageColor = () => getComputedStyle(document.querySelector('[data-testid="stApp"]')).backgroundColor

function save(name, blob) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

// ---- the picture

/** The figure as one SVG that stands alone: its text, and its size in pixels. */
async function svgOf(element) {
  const chart = plot(element)
  const { width, height } = chart ? chart._fullLayout : sizeOf(element.figure.root)
  const svg = document.createElementNS(NS, "svg")
  const set = (node, values) => Object.entries(values).forEach(([key, value]) => node.setAttribute(key, value))
  set(svg, { width, height, viewBox: `0 0 ${width} ${height}`, role: "img" })
  const title = document.createElementNS(NS, "title"), paper = document.createElementNS(NS, "rect")
  title.textContent = wordsFor(element)
  set(paper, { width, height, fill: pageColor() })
  svg.append(title, await fontOf(chart ?? element.figure.root), paper)
  if (!chart) svg.append(...shapesOf(element.figure.root))
  for (const layer of chart?.querySelectorAll(".main-svg") ?? []) {
    const copy = layer.cloneNode(true)
    copy.querySelectorAll(".draglayer, .hoverlayer, .zoomlayer").forEach(part => part.remove())
    svg.append(...copy.childNodes)
  }
  return { text: new XMLSerializer().serializeToString(svg), width, height }
}

const sizeOf = root => ({ width: Math.ceil(root.scrollWidth), height: Math.ceil(root.scrollHeight) })

/** What CSS paints in a figure of boxes, text, lines and canvases, as shapes of SVG. */
function shapesOf(root) {
  const origin = root.getBoundingClientRect(), shapes = []
  const add = (name, values, text) => {
    const node = document.createElementNS(NS, name)
    Object.entries(values).forEach(([key, value]) => node.setAttribute(key, value))
    if (text) node.textContent = text
    shapes.push(node)
    return node
  }
  const walk = element => {
    const style = getComputedStyle(element), box = element.getBoundingClientRect()
    if (style.display === "none" || style.visibility === "hidden" || !box.width) return
    const x = box.left - origin.left, y = box.top - origin.top
    const size = { x, y, width: box.width, height: box.height }
    if (element.tagName === "CANVAS") return add("image", { ...size, href: element.toDataURL() })
    if (element.tagName === "svg") return lines(element, size)
    const border = parseFloat(style.borderTopWidth), rgba = style.backgroundColor
    if (border || !/, 0\)$|^transparent$/.test(rgba))
      add("rect", { ...size, rx: parseFloat(style.borderTopLeftRadius) || 0, fill: rgba, stroke: border ? style.borderTopColor : "none", "stroke-width": border })
    for (const child of element.childNodes) {
      if (child.nodeType === Node.ELEMENT_NODE) walk(child)
      else if (child.nodeType === Node.TEXT_NODE && child.data.trim()) words(child, style)
    }
  }
  const lines = (svg, { x, y, width, height }) => {
    const copy = svg.cloneNode(true), kept = [...copy.querySelectorAll("*")]
    svg.querySelectorAll("*").forEach((part, i) => {
      const style = getComputedStyle(part)
      for (const name of ["stroke", "fill", "stroke-width", "stroke-dasharray"]) kept[i].setAttribute(name, style.getPropertyValue(name))
    })
    Object.entries({ x, y, width, height, overflow: "visible" }).forEach(([name, value]) => copy.setAttribute(name, value))
    shapes.push(copy)
  }
  const words = (text, style) => {
    const size = parseFloat(style.fontSize), range = document.createRange()
    const font = { "font-size": size, "font-family": style.fontFamily, "font-weight": style.fontWeight, fill: style.color }
    const turned = getComputedStyle(text.parentElement).transform.match(/matrix\(([-\d.]+), ([-\d.]+)/)
    const found = []
    for (const match of text.data.matchAll(/\S+/g)) {
      range.setStart(text, match.index)
      range.setEnd(text, match.index + match[0].length)
      const box = range.getBoundingClientRect(), last = found.at(-1)
      if (last && Math.abs(last.box.top - box.top) < 2) last.text += " " + match[0]
      else found.push({ box, text: match[0] })
    }
    for (const { box, text } of found) {
      const x = box.left - origin.left, y = box.bottom - origin.top
      const angle = turned ? Math.atan2(+turned[2], +turned[1]) * 180 / Math.PI : 0
      add("text", angle ? { ...font, x, y, transform: `rotate(${angle} ${x} ${y})` } : { ...font, x, y: y - 0.28 * size }, text)
    }
  }
  walk(root)
  return shapes
}

/** The font of a figure as a style element: an SVG that stands alone finds no font of the page. */
async function fontOf(element) {
  const style = document.createElementNS(NS, "style")
  const family = getComputedStyle(element).fontFamily.split(",")[0].replaceAll('"', "")
  const rules = [...document.styleSheets].flatMap(sheet => { try { return [...sheet.cssRules] } catch { return [] } })
  const face = rules.find(rule => rule instanceof CSSFontFaceRule && rule.style.fontStyle !== "italic" &&
    rule.style.fontFamily.replaceAll('"', "") === family)
  const address = face?.style.getPropertyValue("src").match(/url\("?([^")]+)"?\)/)?.[1]
  if (!address) return style
  fonts[family] ??= fetch(new URL(address, face.parentStyleSheet.href ?? document.baseURI)).then(got => got.blob()).then(blob =>
    new Promise(done => {
      const reader = new FileReader()
      reader.onload = () => done(reader.result)
      reader.readAsDataURL(blob)
    }))
  style.textContent = `@font-face { font-family: "${family}"; font-weight: 200 900; src: url(${await fonts[family]}) }`
  return style
}
const fonts = {}

async function pngOf({ text, width, height }) {
  const image = new Image()
  image.src = "data:image/svg+xml;charset=utf-8," + encodeURIComponent(text)
  await image.decode()
  const canvas = document.createElement("canvas")
  canvas.width = 2 * width  // as sharp as on a screen of twice the usual resolution
  canvas.height = 2 * height
  canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height)
  return new Promise(done => canvas.toBlob(done, "image/png"))
}

// ---- the data: { columns: [name, …], rows: [[value, …], …] }

const dataOf = element => element.figure?.data() ?? chartData(plot(element))

/** Text as a reader sees it: Plotly's labels are HTML. */
const plain = html => {
  const text = String(html ?? "").replace(/<br\s*\/?>/g, " ")
  return new DOMParser().parseFromString(text, "text/html").body.textContent.trim()
}
const axisOf = (chart, id) => chart._fullLayout[id[0] + "axis" + id.slice(1)]
const titleOf = (axis, otherwise) => plain(axis?.title?._text ?? axis?.title?.text) || otherwise

function chartData(chart) {
  const traces = chart._fullData.filter(trace => trace.visible !== false)
  if (traces[0]?.type === "treemap") return treeData(traces)
  const [first] = traces
  if (first?.z) return gridData(chart, first)
  return pointData(chart, traces)
}

function treeData(traces) {
  const rows = traces.flatMap(({ labels, parents, values }) =>
    [...labels].map((label, i) => [plain(label), plain(parents[i]), values?.[i]]))
  return { columns: ["part", "part of", "value"], rows }
}

/** A heat map or a contour: one row a cell. Names of rows and columns are the whole ones, not only those drawn. */
function gridData(chart, trace) {
  const across = axisOf(chart, trace.xaxis), down = axisOf(chart, trace.yaxis)
  const names = trace.customdata?.[0]?.[0]?.length >= 2
  const rows = [...trace.z].flatMap((line, i) => [...line].map((value, j) => {
    const cell = trace.customdata?.[i]?.[j]
    const where = [trace.y?.[i] ?? i, trace.x?.[j] ?? j]
    return [...(names ? [i + 1, plain(cell[0]), j + 1, plain(cell[1])] : where), value]
  }))
  const row = titleOf(down, "row"), column = titleOf(across, "column")
  const value = trace.name && !/^trace \d+$/.test(trace.name) ? plain(trace.name) : "value"
  return { columns: names ? ["row", row === "row" ? "row name" : row, "column", column === "column" ? "column name" : column, value] : [row, column, value], rows }
}

/** Curves, bars and points: a column a trace where the traces have one x each, otherwise one row a point. */
function pointData(chart, traces) {
  const parts = traces.flatMap(trace => seriesOf(chart, trace)).filter(one => one.at.length)
  const single = one => new Set(one.at).size === one.at.length && !one.labels
  const sameAxis = new Set(parts.map(one => one.atTitle)).size <= 1
  if (parts.every(single) && sameAxis) {
    const isNumber = parts.every(one => one.at.every(value => typeof value === "number"))
    const all = [...new Set(parts.flatMap(one => one.at))]
    if (isNumber) all.sort((a, b) => a - b)
    const maps = parts.map(one => new Map(one.at.map((value, i) => [value, one.values[i]])))
    return {
      columns: [parts[0]?.atTitle ?? "x", ...parts.map(headOf)],
      names: new Set(parts.map(one => one.title)).size === 1 && parts.length > 1 && parts.every(one => one.name)
        ? { all: parts[0].title, each: parts.map(one => one.name) } : null,
      rows: all.map(value => [value, ...maps.map(map => map.get(value))]),
    }
  }
  const axes = key => [...new Set(parts.map(one => one[key]))].join(" or ")
  const labelled = parts.some(one => one.labels)
  return {
    columns: ["series", axes("atTitle"), axes("title"), ...(labelled ? ["label"] : [])],
    rows: parts.flatMap(one => one.at.map((value, i) => [
      one.name, value, one.values[i], ...(labelled ? [plain(one.labels?.[i])] : []),
    ])),
  }
}

const headOf = one => [one.name, one.title].filter(Boolean).join(", ")

/** The series of a trace; a filled band is two, its lower and its upper edge. */
function seriesOf(chart, trace) {
  const onSide = trace.orientation === "h"
  const axis = { x: axisOf(chart, trace.xaxis ?? "x"), y: axisOf(chart, trace.yaxis ?? "y") }
  const [by, of] = onSide ? ["y", "x"] : ["x", "y"]
  const title = titleOf(axis[of], of)
  const name = /^trace \d+$/.test(trace.name) ? "" : plain(trace.name)
  const values = [...trace[of] ?? []]
  const at = namesOf(axis[by], [...trace[by] ?? values.keys()])
  const series = { name, title, at, atTitle: titleOf(axis[by], by), values }
  if (trace.fill === "toself") {
    const half = at.length / 2
    return [
      { ...series, name: `${name || "range"}: low`, at: at.slice(0, half), values: values.slice(half).reverse() },
      { ...series, name: `${name || "range"}: high`, at: at.slice(0, half), values: values.slice(0, half) },
    ]
  }
  const labels = Array.isArray(trace.text) ? trace.text : Array.isArray(trace.hovertext) ? trace.hovertext : null
  const tellsMore = trace.type === "scatter" && labels?.some(label => label)
  return [{ ...series, labels: tellsMore ? labels : null }]
}

/** Positions along an axis by the names drawn there, where every one has a name that is not just its number. */
function namesOf(axis, values) {
  if (axis?.tickmode !== "array" || !axis.ticktext) return values
  const names = new Map([...axis.tickvals].map((value, i) => [value, plain(axis.ticktext[i])]))
  const found = values.map(value => names.get(value))
  const telling = found.every(Boolean) && new Set(found).size === new Set(values).size && found.some(name => isNaN(name))
  return telling ? found : values
}

// ---- the data as text

/** A cell as CSV. A text that a spreadsheet would run as a formula gets an apostrophe before it. */
const cellOf = value => {
  if (value === null || value === undefined || Number.isNaN(value)) return ""
  if (typeof value === "number") return String(value)
  const text = String(value)
  const safe = /^[=+\-@\t\r]/.test(text) && isNaN(text) ? "'" + text : text
  return /[",\n\r]/.test(safe) || safe !== safe.trim() ? `"${safe.replaceAll('"', '""')}"` : safe
}
const csvOf = ({ columns, rows }) => [columns, ...rows].map(row => row.map(cellOf).join(",") + "\r\n").join("")

function tableOf({ columns, names, rows }, words) {
  const scroll = document.createElement("div"), table = document.createElement("table")
  scroll.className = "scroll"
  scroll.tabIndex = 0
  scroll.setAttribute("role", "region")
  scroll.setAttribute("aria-label", "The data of this figure")
  const make = (name, text, more = {}) => Object.assign(document.createElement(name), { textContent: text, ...more })
  const head = document.createElement("thead"), body = document.createElement("tbody")
  const line = cells => {
    const row = document.createElement("tr")
    row.append(...cells)
    return row
  }
  const kind = i => typeof rows[0]?.[i] === "number" ? "number" : ""
  const named = (list, from) => list.map((name, i) => make("th", name, { scope: "col", className: kind(i + from) }))
  if (names) head.append(
    line([make("th", columns[0], { scope: "col", rowSpan: 2, className: kind(0) }),
      make("th", names.all, { scope: "colgroup", colSpan: names.each.length, className: "all" })]),
    line(named(names.each, 1)))
  else head.append(line(named(columns, 0)))
  body.append(...rows.slice(0, SHOWN_ROWS).map(row => line(row.map(value => typeof value === "number"
    ? make("td", String(+value.toPrecision(6)), { className: "number", title: String(value) })
    : make("td", value ?? "")))))
  table.append(make("caption", words), head, body)
  scroll.append(table)
  const all = rows.length > SHOWN_ROWS
    ? `The first ${SHOWN_ROWS} of ${rows.length.toLocaleString("en-US")} rows. The CSV has all ${rows.length.toLocaleString("en-US")}, with every digit.`
    : `${rows.length} rows. The CSV has every digit.`
  const both = document.createDocumentFragment()
  both.append(scroll, make("p", all))
  return both
}
