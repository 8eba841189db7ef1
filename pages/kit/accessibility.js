// What Streamlit's markup lacks for the keyboard and for screen readers, added after it has been drawn.

const running = new WeakMap() // what ends the last run: this function runs again when its data change
const PAUSE = 200 // milliseconds from a change on the page until it is looked through

export default function ({ parentElement, data }) {
  running.get(parentElement)?.()
  const main = document.querySelector('[data-testid="stMain"]')
  if (!main) return

  const goTo = target => {
    target.scrollIntoView({ block: "start", behavior: "instant" })
    target.setAttribute("tabindex", "-1")
    target.focus({ preventScroll: true })
  }

  const skipLink = (place, text, target) => {
    const link = place.querySelector(":scope > .skip-link") ?? document.createElement("a")
    link.className = "skip-link"
    link.href = target.id ? "#" + target.id : "#"
    if (link.textContent !== text) link.textContent = text
    link.onclick = event => { event.preventDefault(); goTo(target) }
    if (link.parentElement !== place) place === document.body ? place.prepend(link) : place.append(link)
  }

  // After the heading of each part and lab, a link to the one that follows.
  const skipSections = () => {
    const isLab = heading => data.inner.some(start => heading.id.startsWith(start))
    const heads = [...main.querySelectorAll("h2[id], h3[id]")].filter(h => h.tagName === "H2" || isLab(h))
    const kept = new Set()
    heads.forEach((heading, i) => {
      const next = heads.slice(i + 1).find(h => h.tagName <= heading.tagName)
      const place = heading.closest('[data-testid="stElementContainer"]')
      if (!next || !place) return
      skipLink(place, "Skip to “" + next.textContent.trim() + "”", next)
      kept.add(place)
    })
    main.querySelectorAll(".skip-link").forEach(link => kept.has(link.parentElement) || link.remove())
    const first = main.querySelector("h1, h2")
    if (first) skipLink(document.body, "Skip to the page", first)
  }

  // The size of a heading follows the design, its level the outline: never more than one below the last.
  const levels = () => {
    let last = 0
    for (const heading of main.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
      if (!heading.checkVisibility()) continue
      const own = Number(heading.tagName[1])
      last = Math.min(own, last + 1)
      const level = last < own ? String(last) : null
      if (heading.getAttribute("aria-level") === level) continue
      level ? heading.setAttribute("aria-level", level) : heading.removeAttribute("aria-level")
    }
  }

  const formulas = () => {
    for (const formula of main.querySelectorAll(".katex-display, pre")) {
      const scrolls = formula.scrollWidth > formula.clientWidth ||
        (formula.tagName === "PRE" && formula.scrollHeight > formula.clientHeight + 1)
      if (scrolls === formula.hasAttribute("tabindex")) continue
      const values = { tabindex: "0", role: "group", "aria-label": formula.tagName === "PRE" ? "Code that scrolls" : "Formula that scrolls sideways" }
      for (const [name, value] of Object.entries(values))
        scrolls ? formula.setAttribute(name, value) : formula.removeAttribute(name)
    }
  }

  // Streamlit's list of pages has its items inside sections and not directly in the list.
  const pageList = () => {
    const list = document.querySelector('ul[data-testid="stSidebarNavItems"]')
    list?.setAttribute("role", "none")
    list?.querySelectorAll("li").forEach(item => item.parentElement.setAttribute("role", "list"))
  }

  const look = () => { skipSections(); levels(); formulas(); pageList() }
  let waiting = 0
  const soon = () => { waiting ||= setTimeout(() => { waiting = 0; look() }, PAUSE) }
  const changes = new MutationObserver(soon)
  changes.observe(main, { childList: true, subtree: true })
  const size = new ResizeObserver(soon)
  size.observe(main)
  look()
  const stop = () => { clearTimeout(waiting); changes.disconnect(); size.disconnect() }
  running.set(parentElement, stop)
  return stop
}
