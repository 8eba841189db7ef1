"""The contents of a chapter: a bar that stays in view at the top of the window.

It lists the sections that the page has, marks the one in view, and is a menu where the window is narrow. The sections
are read from the page's own headings, so that a part which a lesson link hides is not listed.
"""

import streamlit as st

_CSS = """
:host { all: initial; }
nav { position: fixed; top: 0; left: var(--bar-left, 4.5rem); right: 7rem; height: 3.75rem; z-index: 999991;
  display: flex; align-items: center; gap: 0.1rem; pointer-events: none;
  font: 400 0.88rem var(--st-font); color: var(--st-text-color); }
nav > * { pointer-events: auto; }
ol { display: flex; gap: 0.1rem; list-style: none; margin: 0; padding: 0; min-width: 0; }
a { display: block; color: inherit; text-decoration: none; padding: 0.35rem 0.6rem; border-radius: 0.4rem;
  white-space: nowrap; }
a:hover, a:focus-visible { background: var(--st-secondary-background-color); }
a:focus-visible, summary:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: -2px; }
a[aria-current] { font-weight: 600; box-shadow: inset 0 -2px 0 var(--st-primary-color);
  border-radius: 0.4rem 0.4rem 0 0; }
details { position: relative; }
summary { cursor: pointer; padding: 0.35rem 0.6rem; border-radius: 0.4rem; border: 1px solid var(--st-border-color);
  background: var(--st-background-color); white-space: nowrap; overflow: hidden; text-overflow: ellipsis;
  max-width: 60vw; }
.menu { position: absolute; top: 2.4rem; left: 0; min-width: 15rem; max-height: 75vh; overflow-y: auto;
  background: var(--st-background-color); border: 1px solid var(--st-border-color); border-radius: 0.5rem;
  padding: 0.3rem; box-shadow: 0 6px 18px rgb(0 0 0 / 18%); }
.menu ol { flex-direction: column; }
.menu .inner a { padding-left: 1.6rem; }
.menu a[aria-current] { box-shadow: inset 2px 0 0 var(--st-primary-color); border-radius: 0 0.4rem 0.4rem 0; }
nav.narrow > ol { display: none; }
"""

_JS = """
let arrived = ""  // the address whose anchor has been followed
const running = new WeakMap()  // what ends the last run: this function runs again when data or theme change

export default function ({ parentElement, data }) {
  running.get(parentElement)?.()
  const nav = parentElement.querySelector("nav")
  const main = document.querySelector('[data-testid="stMain"]')
  if (!main) return
  const bar = nav.querySelector(":scope > ol"), menu = nav.querySelector(".menu ol")
  const details = nav.querySelector("details"), summary = nav.querySelector("summary")
  let sections = [], written = "", picked = null  // picked: the section a link led to, until the reader scrolls

  const link = (section, inner) => {
    const item = document.createElement("li")
    item.className = inner ? "inner" : ""
    const a = document.createElement("a")
    a.href = "#" + section.id
    a.textContent = section.title
    a.onclick = event => {
      event.preventDefault()
      details.open = false
      picked = section.id
      history.replaceState(history.state, "", "#" + section.id)
      section.element.scrollIntoView({ block: "start", behavior: "instant" })
      section.element.setAttribute("tabindex", "-1")
      section.element.focus({ preventScroll: true })
      mark()
    }
    item.append(a)
    return item
  }

  const read = () => {
    sections = [...main.querySelectorAll("h2[id], h3[id]")].map(element => ({
      element, id: element.id, level: element.tagName === "H2" ? 1 : 2,
      title: data.titles[element.id] ?? element.textContent.trim(),
    })).filter(section => section.level === 1 || data.inner.some(start => section.id.startsWith(start)))
    const now = sections.map(section => section.id + section.title).join("|")
    arrive()
    if (now !== written) {
      written = now
      bar.replaceChildren(...sections.filter(s => s.level === 1).map(s => link(s, false)))
      menu.replaceChildren(...sections.map(s => link(s, s.level === 2)))
      place()
    }
    mark()
  }

  // The address may lead to a section that is drawn only later, and Streamlit drops the anchor meanwhile: the browser
  // remembers with which one it was opened. A link from the search names its heading.
  const arrive = () => {
    const opened = performance.getEntriesByType("navigation")[0]?.name ?? ""
    const asked = new URLSearchParams(location.search).get("at")
    const anchor = asked ? "" : opened.split("#")[1]
    if ((!asked && !anchor) || (!asked && arrived === opened)) return
    const plain = text => text.trim().toLowerCase()
    const target = asked
      ? [...main.querySelectorAll("h2, h3, h4")].find(h => plain(h.textContent).startsWith(plain(asked)))
      : document.getElementById(anchor)
    if (!target) return
    if (asked) {
      const address = new URL(location.href)
      address.searchParams.delete("at")
      history.replaceState(history.state, "", address)
    } else arrived = opened
    follow(target)
  }

  // What is drawn above the target moves it: it is followed until the reader moves or the page is at rest.
  const follow = target => {
    picked = target.id
    let left = 60
    const again = setInterval(() => {
      if (picked !== target.id || --left < 0) return clearInterval(again)
      const isThere = Math.abs(target.getBoundingClientRect().top - 70) <= 40
      if (!isThere) target.scrollIntoView({ block: "start", behavior: "instant" })
    }, 250)
  }

  const mark = () => {
    const isAtEnd = main.scrollTop + main.clientHeight > main.scrollHeight - 8
    const passed = sections.findLastIndex(s => isAtEnd || s.element.getBoundingClientRect().top < 160)
    const chosen = sections.findIndex(s => s.id === picked)
    const above = sections.slice(0, 1 + (chosen < 0 ? passed : chosen))
    const here = above.at(-1), part = above.filter(s => s.level === 1).at(-1)
    for (const a of nav.querySelectorAll("a")) {
      const id = a.getAttribute("href").slice(1)
      const current = id === part?.id || (a.closest(".menu") && id === here?.id)
      current ? a.setAttribute("aria-current", "location") : a.removeAttribute("aria-current")
    }
    summary.textContent = nav.classList.contains("narrow") ? "Contents: " + (here?.title ?? data.title) : "Contents"
  }

  const place = () => {
    // Right of the button that opens a closed sidebar.
    const opener = document.querySelector('[data-testid="stExpandSidebarButton"]')?.getBoundingClientRect().right ?? 56
    const left = Math.max(main.getBoundingClientRect().left, opener) + 16
    nav.style.setProperty("--bar-left", left + "px")
    nav.classList.remove("narrow")
    const room = window.innerWidth - left - 7 * 16
    nav.classList.toggle("narrow", bar.scrollWidth + summary.offsetWidth + 16 > room)
  }

  let waiting = false
  const soon = work => () => {
    if (waiting) return
    waiting = true
    requestAnimationFrame(() => { waiting = false; work() })
  }
  const away = event => { if (!event.composedPath().includes(details)) details.open = false }
  const escape = event => { if (event.key === "Escape" && details.open) { details.open = false; summary.focus() } }
  const observer = new MutationObserver(soon(read))
  observer.observe(main, { childList: true, subtree: true })
  const scrolled = soon(mark)
  const size = new ResizeObserver(() => { place(); mark() })
  const moves = ["wheel", "touchmove", "pointerdown", "keydown"]
  const moved = event => { if (!event.composedPath().includes(nav)) picked = null }
  moves.forEach(name => document.addEventListener(name, moved, { passive: true }))
  main.addEventListener("scroll", scrolled, { passive: true })
  size.observe(main)
  document.addEventListener("pointerdown", away)
  document.addEventListener("keydown", escape)
  read()
  const stop = () => {
    observer.disconnect()
    size.disconnect()
    moves.forEach(name => document.removeEventListener(name, moved))
    main.removeEventListener("scroll", scrolled)
    document.removeEventListener("pointerdown", away)
    document.removeEventListener("keydown", escape)
  }
  running.set(parentElement, stop)
  return stop
}
"""

_BAR = st.components.v2.component(
    "glassbox_contents",
    html="""<nav aria-label="Contents of this chapter">
<details><summary>Contents</summary><div class="menu"><ol></ol></div></details><ol></ol></nav>""",
    css=_CSS,
    js=_JS,
)


def bar(title: str, titles: dict[str, str], inner: tuple[str, ...]) -> None:
    """Draw the bar; `titles` are short names for sections by anchor, `inner` how the anchors of labs begin."""
    _BAR(key="contents", data={"title": title, "titles": titles, "inner": list(inner)}, height=1)
