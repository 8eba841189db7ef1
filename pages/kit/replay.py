"""Three small moving pictures: a text that writes itself, bars to pick the next token from, two lanes.

All of them show what Python has computed and measured before: the browser only replays it. A text keeps its
full room from the start, so nothing on the page moves while it is written, and where the visitor's system
asks for reduced motion everything stands there at once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import streamlit as st

_BARS_CSS = """
.bars { display: grid; grid-template-columns: minmax(4.5rem, max-content) 1fr 3.4rem; gap: 0.3rem 0.5rem; }
.row { display: contents; }
.word {
  font-family: var(--st-code-font); font-size: 0.85rem; text-align: right; white-space: pre;
  overflow: hidden; text-overflow: ellipsis; max-width: 9rem; align-self: center;
}
.track {
  background: var(--st-secondary-background-color); border-radius: 0.25rem; height: 1.25rem;
  align-self: center;
}
.fill { background: var(--st-primary-color); border-radius: 0.25rem; height: 100%; min-width: 2px; }
.share { font-size: 0.85rem; font-variant-numeric: tabular-nums; align-self: center; }
.row.taken .word { font-weight: 700; color: var(--st-link-color); }
.title { font-size: 0.85rem; opacity: 0.75; margin: 0 0 0.4rem 0; }
"""

_BARS_JS = """
const percent = p => p >= 0.9995 ? "100%" : p < 0.001 ? "<0.1%" : (100 * p).toFixed(p < 0.0995 ? 1 : 0) + "%"
const visible = text => text.replaceAll("\\n", "⏎").replace(/^ +/, s => "␣".repeat(s.length)) || "(empty)"
function row(text, p, taken) {
  const line = document.createElement("div")
  line.className = "row" + (taken ? " taken" : "")
  const [word, track, share] = ["word", "track", "share"].map(name => {
    const part = document.createElement("div"); part.className = name; line.append(part); return part })
  word.textContent = visible(text)
  const fill = document.createElement("div"); fill.className = "fill"
  fill.style.width = (100 * p) + "%"; track.append(fill)
  share.textContent = percent(p)
  return line
}
"""

_STORY_CSS = (
    _BARS_CSS
    + """
.story {
  display: flex; flex-wrap: wrap; gap: 1.2rem 2.5rem; font-family: var(--st-font);
  color: var(--st-text-color);
}
.left { flex: 3 1 20rem; min-width: 0; } .right { flex: 2 1 17rem; min-width: 0; }
.text { font-size: 1.35rem; line-height: 1.65; margin: 0; overflow-wrap: anywhere; white-space: pre-wrap; }
.token {
  border-radius: 0.25rem; cursor: pointer; background: none; border: 0; padding: 0; font: inherit;
  color: inherit; white-space: pre-wrap;
}
.token.hidden { visibility: hidden; }
.token:hover { background: var(--st-secondary-background-color); }
.token.focus { box-shadow: inset 0 -0.55em 0 color-mix(in srgb, var(--st-primary-color) 32%, transparent); }
.given { opacity: 0.72; }
.name {
  font: inherit; font-weight: 600; color: var(--st-link-color); cursor: pointer;
  background: none; border: 0; padding: 0 0.1em;
  border-bottom: 2px dashed var(--st-link-color);
}
.name:focus-visible, .token:focus-visible { outline: 2px solid var(--st-primary-color); }
.duel { margin-top: 1.2rem; }
.duel:empty { display: none; }
.pair {
  display: grid; grid-template-columns: 4.5rem 1fr 1fr; gap: 0.15rem 0.6rem; align-items: center;
  margin-bottom: 0.3rem; font-size: 0.85rem;
}
.pair.now .who { font-weight: 700; color: var(--st-link-color); }
.who { text-align: right; }
.half { display: flex; align-items: center; gap: 0.4rem; }
.half .track { flex: 1; height: 0.8rem; }
.half span { font-variant-numeric: tabular-nums; min-width: 4.9rem; }
"""
)

_STORY_JS = (
    _BARS_JS
    + """
const players = new WeakMap()
export default function ({ data, parentElement, setTriggerValue }) {
  const find = name => parentElement.querySelector("." + name)
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches
  const before = players.get(parentElement) ?? {}
  if (before.timer && before.play !== data.play) clearTimeout(before.timer)
  const player = before.play === data.play ? before : { play: data.play, at: still ? data.steps.length : 0 }
  players.set(parentElement, player)

  const given = data.prompt.map(part => {
    const element = document.createElement(part.name ? "button" : "span")
    element.className = part.name ? "name" : "given"
    element.textContent = part.text
    if (part.name) { element.title = data.swap; element.onclick = () => setTriggerValue("swapped", true) }
    return element
  })
  const tokens = data.steps.map((step, place) => {
    // Not a button: a button is a box, and a text of boxes breaks its lines in the wrong places.
    const element = document.createElement("span")
    element.className = "token"
    element.textContent = step.text
    element.onclick = () => { clearTimeout(player.timer); player.at = data.steps.length; player.focus = place; draw() }
    return element
  })
  find("text").replaceChildren(...given, ...tokens)

  function draw() {
    const ended = player.at >= data.steps.length
    const focus = ended ? player.focus ?? data.focus : Math.max(0, player.at - 1)
    tokens.forEach((token, place) => {
      token.classList.toggle("hidden", place >= player.at)
      token.classList.toggle("focus", place === focus)
    })
    const step = data.steps[focus]
    if (!step) return
    find("title").textContent = data.title
    find("bars").replaceChildren(...step.top.map(([text, p]) => row(text, p, text === step.text)))
  }
  function go() {
    draw()
    if (player.at < data.steps.length)
      player.timer = setTimeout(() => { player.at += 1; player.go() }, player.at ? data.pace : 700)
  }
  player.go = go  // a timer of an earlier call goes on with the elements of this one
  if (before.play !== data.play) go(); else draw()

  find("duel").replaceChildren(...(data.duel.length ? [data.duel_title] : []).map(text => {
    const title = document.createElement("p"); title.className = "title"; title.textContent = text; return title
  }), ...data.duel.map(one => {
    const pair = document.createElement("div")
    pair.className = "pair" + (one.now ? " now" : "")
    const who = document.createElement("div"); who.className = "who"; who.textContent = one.name
    pair.append(who, ...one.shares.map(([word, p]) => {
      const half = document.createElement("div"); half.className = "half"
      const track = document.createElement("div"); track.className = "track"
      const fill = document.createElement("div"); fill.className = "fill"; fill.style.width = 100 * p + "%"
      const label = document.createElement("span"); label.textContent = word + " " + percent(p)
      track.append(fill); half.append(label, track)
      return half
    }))
    return pair
  }))
  return () => clearTimeout(player.timer)
}
"""
)

_STORY = st.components.v2.component(
    "glassbox_story",
    html="""<div class="story"><div class="left"><p class="text"></p></div>
    <div class="right"><p class="title"></p><div class="bars"></div><div class="duel"></div></div></div>""",
    css=_STORY_CSS,
    js=_STORY_JS,
)


@dataclass(frozen=True, slots=True)
class Written:
    """One token that was written: its text and the most probable tokens at that position, each (text,
    probability)."""

    text: str
    top: Sequence[tuple[str, float]]


@dataclass(frozen=True, slots=True)
class Duel:
    """The probabilities of two words after one name."""

    name: str
    shares: Sequence[tuple[str, float]]
    now: bool


def story(
    prompt: Sequence[str],
    steps: Sequence[Written],
    *,
    key: str,
    play: str,
    title: str,
    swap: str = "",
    on_swap=lambda: None,
    duel: Sequence[Duel] = (),
    duel_title: str = "",
    milliseconds: int = 55,
) -> None:
    """Show a text being generated next to the most probable next tokens; it plays again when `play` changes.

    `prompt` is the given part; of its pieces every second one is a name that can be clicked, which calls `on_swap`.
    Once written, a click on any token shows the other likely tokens.
    """
    _STORY(
        key=key,
        data={
            "prompt": [{"text": text, "name": number % 2 == 1} for number, text in enumerate(prompt)],
            "steps": [{"text": step.text, "top": [list(pair) for pair in step.top]} for step in steps],
            "duel": [asdict(pair) for pair in duel],
            "duel_title": duel_title,
            "play": play,
            "pace": milliseconds,
            "title": title,
            "swap": swap,
            "focus": 0,
        },
        on_swapped_change=on_swap,
    )


_PICK_CSS = (
    _BARS_CSS
    + """
.pick { font-family: var(--st-font); color: var(--st-text-color); }
button.word {
  color: inherit; cursor: pointer; background: none; padding: 0.05rem 0.3rem;
  border: 1px solid var(--st-border-color); border-radius: 0.35rem;
}
button.word:hover, button.word:focus-visible { border-color: var(--st-primary-color); outline: none; }
"""
)

_PICK_JS = (
    _BARS_JS
    + """
export default function ({ data, parentElement, setTriggerValue }) {
  const bars = parentElement.querySelector(".bars")
  bars.setAttribute("aria-label", data.label)
  bars.replaceChildren(...data.rows.map((one, place) => {
    const line = row(one.text, one.probability, false)
    if (one.pickable) {
      const button = document.createElement("button")
      button.className = "word"
      button.textContent = visible(one.text)
      button.title = data.hint
      button.onclick = () => setTriggerValue("picked", place)
      line.firstChild.replaceWith(button)
    }
    return line
  }))
}
"""
)

_PICK = st.components.v2.component(
    "glassbox_pick",
    html='<div class="pick"><div class="bars" role="group"></div></div>',
    css=_PICK_CSS,
    js=_PICK_JS,
)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token that may come next. One that is no text of its own can be seen but not picked."""

    text: str
    probability: float
    pickable: bool = True


def pick(candidates: Sequence[Candidate], *, key: str, label: str, hint: str = "", on_pick=None) -> None:
    """Bars with the token as a button; `on_pick` is called with the chosen index."""

    def picked():
        index = st.session_state[key].picked
        if on_pick and index is not None and 0 <= int(index) < len(candidates):
            on_pick(int(index))

    rows = [
        asdict(candidate) | {"pickable": candidate.pickable and on_pick is not None}
        for candidate in candidates
    ]
    _PICK(key=key, data={"rows": rows, "label": label, "hint": hint}, on_picked_change=picked)


_LANES_CSS = """
.lanes {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr));
  gap: 0.8rem 1.2rem; font-family: var(--st-font); color: var(--st-text-color);
}
.lane {
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius, 0.5rem);
  padding: 0.7rem 0.9rem; min-width: 0;
}
.head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }
.head b { font-weight: 600; }
.clock { font-variant-numeric: tabular-nums; font-size: 0.9rem; opacity: 0.85; }
.line {
  height: 0.35rem; background: var(--st-secondary-background-color); border-radius: 0.2rem;
  margin: 0.45rem 0 0.6rem 0;
}
.done { height: 100%; width: 0; background: var(--st-primary-color); border-radius: 0.2rem; }
.text { margin: 0; line-height: 1.5; font-size: 0.95rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.given { opacity: 0.6; } .hidden { visibility: hidden; }
.again { margin: 0.7rem 0 0 0; }
.again button {
  font: inherit; font-size: 0.9rem; color: var(--st-text-color); background: none; cursor: pointer;
  padding: 0.2rem 0.7rem;
  border: 1px solid var(--st-border-color); border-radius: var(--st-base-radius, 0.5rem);
}
.again button:hover, .again button:focus-visible { border-color: var(--st-primary-color); outline: none; }
"""

_LANES_JS = """
const players = new WeakMap()
export default function ({ data, parentElement }) {
  const box = parentElement.querySelector(".lanes"), button = parentElement.querySelector("button")
  const still = window.matchMedia("(prefers-reduced-motion: reduce)").matches
  const known = players.get(parentElement)
  if (known && known.play === data.play && known.box === box) { known.words(data); return known.stop }
  if (known) known.stop()

  const make = (tag, name, parent, text) => {
    const element = document.createElement(tag); element.className = name; element.textContent = text ?? ""
    parent.append(element); return element
  }
  box.replaceChildren()
  const lanes = data.lanes.map(lane => {
    const frame = make("div", "lane", box)
    const head = make("div", "head", frame)
    make("b", "", head, lane.name)
    const clock = make("span", "clock", head)
    const done = make("div", "done", make("div", "line", frame))
    const text = make("p", "text", frame)
    make("span", "given", text, data.prompt)
    const spans = lane.texts.map(one => make("span", "hidden", text, one))
    return { ...lane, clock, done, spans, shown: 0, end: lane.at.at(-1) ?? 0 }
  })
  const longest = Math.max(...lanes.map(lane => lane.end))
  const player = { play: data.play, box, frame: 0 }
  players.set(parentElement, player)

  function show(seconds) {
    for (const lane of lanes) {
      let n = lane.shown
      if (n && lane.at[n - 1] > seconds) n = 0
      while (n < lane.at.length && lane.at[n] <= seconds) n += 1
      for (let i = Math.min(n, lane.shown); i < Math.max(n, lane.shown); i += 1)
        lane.spans[i].className = i < n ? "" : "hidden"
      lane.shown = n
      const now = Math.min(seconds, lane.end)
      lane.done.style.width = 100 * n / Math.max(1, lane.at.length) + "%"
      const rate = n && now ? Math.round(n / lane.at[n - 1]).toLocaleString("en") : "0"
      lane.clock.textContent = n + " tokens, " + now.toFixed(2) + " s, " + rate + " " + data.unit
    }
  }
  player.words = fresh => { button.textContent = player.frame ? fresh.skip : fresh.again }
  player.stop = () => { cancelAnimationFrame(player.frame); player.frame = 0 }
  function finish() { player.stop(); show(longest); player.words(data) }
  function start() {
    player.stop(); show(0)
    const began = performance.now()
    const tick = now => {
      const seconds = (now - began) / 1000 / data.slower
      show(Math.max(0, seconds))
      if (seconds < longest) player.frame = requestAnimationFrame(tick); else finish()
    }
    player.frame = requestAnimationFrame(tick)
    player.words(data)
  }
  button.onclick = () => player.frame ? finish() : start()
  if (still) finish(); else start()
  return player.stop
}
"""

_LANES = st.components.v2.component(
    "glassbox_lanes",
    html='<div class="lanes"></div><p class="again"><button type="button"></button></p>',
    css=_LANES_CSS,
    js=_LANES_JS,
)


@dataclass(frozen=True, slots=True)
class Lane:
    """A text as it was written: its tokens and the seconds after which each was written."""

    name: str
    texts: Sequence[str]
    at: Sequence[float]


def lanes(
    prompt: str, both: Sequence[Lane], *, key: str, play: str, slower: float, again: str, skip: str, unit: str
) -> None:
    """Replay measured lanes side by side, all slowed by one factor; plays once, then on request."""
    data: dict[str, Any] = {
        "lanes": [asdict(lane) for lane in both],
        "prompt": prompt,
        "play": play,
        "slower": slower,
        "again": again,
        "skip": skip,
        "unit": unit,
    }
    _LANES(key=key, data=data)
