// Files made here, in the browser: no request, so that no rerun can come between the click and the file.
function saveFile(name, type, text) {
  const link = document.createElement("a")
  link.href = URL.createObjectURL(new Blob([text], { type }))
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

const FOOTER = 24 // pixels below the map for where it comes from

// What is drawn, drawn once more with the pen for SVG.
function viewAsSvg(map, view) {
  const w = Math.max(map.box.clientWidth, 480), h = map.box.clientHeight, pen = svgPen(map.font)
  drawMap(pen, map, frameOf(map, view, w, h), map.player.motion())
  pen.rect(0, h, w, FOOTER, map.colors.paper)
  pen.text(fill(map.say.signature, { of: map.stages.length }), w - 8, h + FOOTER - 8, { size: 10, align: "end", color: map.colors.ink, alpha: 0.6 })
  return pen.document(w, h + FOOTER, map.data.title)
}

// The page that Python has written around this map, as what comes before and after its numbers.
function pageAlone(map) {
  const { page, ...data } = map.data
  const body = JSON.stringify({ ...data, alone: true, answer: null, at: map.look() }).replaceAll("<", "\\u003c")
  return page.join(body)
}
