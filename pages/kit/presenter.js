// Presenter mode: one section of the page at a time, in large type, with keys for next and back.
//
// A section is what stands between two headings among the page's own blocks. A style sheet shows the blocks of one
// section and hides the others, so a step asks the server for nothing and a lab works as it does on the page.

const FIGURES = '[data-testid="stPlotlyChart"], .stBidiComponent'
const LOWEST = 100  // px: lower components are buttons and rows of tokens
const BLOCKS = '[data-testid="stMainBlockContainer"] > [data-testid="stVerticalBlock"]'
const TEXT_FIELD = 'textarea, select, [contenteditable="true"], [role="combobox"], [role="textbox"], ' +
  'input:not([type="radio"], [type="checkbox"], [type="range"], [type="button"])'
const MOVED_BY_KEYS = 'input[type="range"], [role="slider"], [role="grid"], [role="gridcell"], [role="listbox"], ' +
  '[role="menu"], [role="tree"], [role="application"], canvas, dialog, [role="dialog"]'
const MOVED_BY_ARROWS = 'input[type="radio"], [role="radio"], [role="tab"], [role="radiogroup"]'
const PRESSED_BY_SPACE = 'button, a, summary, input[type="checkbox"], [role="button"], [role="switch"]'
const ARROWS = ["ArrowLeft", "ArrowRight", "Home", "End", " "]
const MOVES = { ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1, Home: -Infinity, End: Infinity }
// While the page runs again there may be two of this component for a moment; one of them is at work.
const drawn = new Map()  // what starts each one, by its element
let stopAtWork = () => {}
let on = null  // whether the visitor presents: as the page was opened, then as the visitor decides

export default function (component) {
  const { parentElement, data } = component
  on ??= data.on
  const start = () => {
    stopAtWork()
    stopAtWork = control(component)
  }
  drawn.set(parentElement, start)
  start()
  return () => {
    if (drawn.get(parentElement) !== start) return
    drawn.delete(parentElement)
    stopAtWork()
    ;[...drawn.values()].at(-1)?.()
  }
}

function control({ parentElement, data, setStateValue }) {
  const bar = parentElement.querySelector("nav")
  const main = document.querySelector('[data-testid="stMain"]')
  const part = name => bar.querySelector(`.${name}`)
  const style = document.createElement("style")
  let sections = [], at = 0
  let wanted = decodeURIComponent(location.hash.slice(1))  // the section to show, also where it is not drawn yet
  const undo = []
  const listen = (target, name, work, more) => {
    target.addEventListener(name, work, more)
    undo.push(() => target.removeEventListener(name, work, more))
  }

  const read = () => {
    if (!on) return
    sections = sectionsOf(document.querySelector(BLOCKS), data.inner)
    const found = sections.findIndex(section => section.ids.includes(wanted))
    at = found < 0 ? Math.min(at, Math.max(0, sections.length - 1)) : found
    draw()
  }

  const draw = () => {
    const here = sections[at]
    if (!here) return
    const css = data.css + sheetFor(here)
    if (style.textContent !== css) style.textContent = css
    part("where").textContent = `${at + 1} of ${sections.length}: ${here.title}`
    part("back").disabled = at === 0
    part("next").disabled = at === sections.length - 1
    part("figure").disabled = figuresIn(main).length === 0
    bar.style.setProperty("--done", (at + 1) / sections.length)
  }

  const go = step => {
    const to = Math.max(0, Math.min(sections.length - 1, at + step))
    if (to === at) return
    at = to
    wanted = sections[at].ids[0] ?? ""
    document.activeElement?.blur()
    history.replaceState(history.state, "", wanted ? "#" + wanted : location.pathname + location.search)
    draw()
    main.scrollTo(0, 0)
    window.dispatchEvent(new Event("resize"))  // a chart that was hidden while it was drawn takes its width
  }

  const turn = value => {
    on = value
    const url = new URL(location)
    on ? url.searchParams.set("present", "1") : url.searchParams.delete("present")
    history.replaceState(history.state, "", url)
    if (on) wanted = inView(main, sectionsOf(document.querySelector(BLOCKS), data.inner))
    show()
    if (!on) {
      enlarged?.close()
      document.getElementById(wanted)?.scrollIntoView({ block: "start", behavior: "instant" })
    }
    setStateValue("on", on)
  }

  const show = () => {
    bar.hidden = !on
    on ? document.head.append(style) : style.remove()
    read()
    window.dispatchEvent(new Event("resize"))
  }

  const pressed = event => {
    if (!on || event.defaultPrevented || event.altKey || event.ctrlKey || event.metaKey) return
    const target = event.composedPath()[0]
    const is = selector => target instanceof Element && target.closest(selector)
    if (event.key === "Escape") {
      if (enlarged) enlarged.close()
      else if (!is(TEXT_FIELD) && !document.querySelector('[data-baseweb="popover"], [role="dialog"]')) turn(false)
      return
    }
    if (is(TEXT_FIELD) || is(MOVED_BY_KEYS)) return
    if (event.key === "f") {
      enlarged ? enlarged.close() : enlarge(main)
      return
    }
    const step = MOVES[event.key]
    if (!step || (ARROWS.includes(event.key) && is(MOVED_BY_ARROWS)) || (event.key === " " && is(PRESSED_BY_SPACE))) return
    event.preventDefault()
    enlarged?.close()
    go(event.key === " " && event.shiftKey ? -1 : step)
  }

  part("back").onclick = () => go(-1)
  part("next").onclick = () => go(1)
  part("figure").onclick = () => enlarge(main)
  part("leave").onclick = () => turn(false)
  listen(document, "keydown", pressed)
  listen(document, "glassbox-present", () => turn(!on))
  listen(window, "hashchange", () => { wanted = decodeURIComponent(location.hash.slice(1)); read() })
  let waiting = false
  const observer = new MutationObserver(() => {
    if (waiting || !on) return
    waiting = true
    requestAnimationFrame(() => { waiting = false; read() })
  })
  observer.observe(main, { childList: true, subtree: true })
  undo.push(() => observer.disconnect(), () => style.remove(), () => enlarged?.close())
  show()
  undo.push(() => { bar.hidden = true })
  return () => undo.splice(0).forEach(work => work())
}

/** The sections of a page: { ids, title, first, last }, the last two counted from 1 among the page's blocks. */
function sectionsOf(blocks, inner) {
  const sections = []
  for (const [i, block] of [...blocks?.children ?? []].entries()) {
    if (block.querySelector(":scope .st-key-page_tools") || block.matches(".st-key-page_tools")) continue
    const headings = [...block.querySelectorAll("h2, h3")]
    const own = block.querySelector('[data-testid="stHeading"]')
    const heading = headings.find(one => one.tagName === "H2" || inner.some(start => one.id.startsWith(start)))
      ?? (own && headings.length === 1 && block.querySelectorAll('[data-testid="stElementContainer"]').length < 2 ? headings[0] : null)
    const before = sections.at(-1)
    if (heading) {
      const isInner = heading.tagName !== "H2"
      if (before && before.bare && isInner) {  // a lab stands under the heading of its part
        before.ids.unshift(heading.id)
        before.title = heading.textContent.trim()
        before.bare = false
        before.last = i + 1
      } else {
        const bare = !isInner && block.matches('[data-testid="stElementContainer"]') && own
        sections.push({ ids: [heading.id], title: heading.textContent.trim(), first: i + 1, last: i + 1, bare, block })
      }
    } else if (before) {
      before.last = i + 1
      before.bare &&= block.offsetHeight === 0 && !block.textContent.trim()
    } else {
      const title = blocks.querySelector("h1")?.textContent.trim() ?? document.title
      sections.push({ ids: [], title, first: i + 1, last: i + 1, bare: false, block })
    }
  }
  return sections
}

/** The id of the section at the top of the window. */
function inView(main, sections) {
  const seen = sections.filter(section => section.block.getBoundingClientRect().top < main.clientHeight / 2).at(-1)
  return main.scrollTop > 0 ? seen?.ids[0] ?? "" : ""
}

const sheetFor = ({ first, last }) => `@media screen {
${BLOCKS} > :not(.st-key-page_tools, :has(> .st-key-page_tools)):not(:nth-child(n + ${first}):nth-child(-n + ${last})) {
  display: none !important; } }`

// ---- a figure as large as the screen

let enlarged = null  // { close }: the figure that fills the screen

const figuresIn = main => [...main.querySelectorAll(FIGURES)].filter(figure => figure.offsetHeight >= LOWEST)

/** Fill the screen with the largest figure in view, text and all; it stays the very figure, and answers. */
function enlarge(main) {
  if (enlarged) return
  const seen = ({ top, bottom, width }) => Math.max(0, Math.min(bottom, innerHeight) - Math.max(top, 0)) * width
  const area = figure => seen(figure.getBoundingClientRect())
  const figure = figuresIn(main).sort((a, b) => area(b) - area(a))[0]
  if (!figure) return
  const before = figure.getAttribute("style"), { width, height } = figure.getBoundingClientRect()
  const scale = Math.min((innerWidth - 48) / width, (innerHeight - 48) / height)
  const paper = getComputedStyle(document.querySelector('[data-testid="stApp"]')).backgroundColor
  Object.assign(figure.style, {
    position: "fixed", inset: "auto", margin: 0, padding: 0, border: 0, overflow: "visible", color: "inherit",
    left: `${(innerWidth - scale * width) / 2}px`, top: `${(innerHeight - scale * height) / 2}px`,
    width: `${width}px`, height: `${height}px`, maxWidth: "none", maxHeight: "none",
    transformOrigin: "0 0", transform: `scale(${scale})`, background: paper, boxShadow: `0 0 0 100vmax ${paper}`,
  })
  figure.popover = "manual"
  figure.showPopover()
  const close = () => {
    enlarged = null
    observer.disconnect()
    removeEventListener("resize", resized)
    figure.removeAttribute("popover")
    before === null ? figure.removeAttribute("style") : figure.setAttribute("style", before)
    window.dispatchEvent(new Event("resize"))
  }
  const resized = () => close()
  const observer = new MutationObserver(() => { if (!figure.isConnected) close() })
  observer.observe(main, { childList: true, subtree: true })
  enlarged = { close }
}
