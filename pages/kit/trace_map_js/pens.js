// Two pens with the same strokes: one paints a canvas, one writes SVG.
function curveTo(x0, y0, x1, y1, upto) {
  const bend = (y1 - y0) * 0.6
  let [a, b, c, d] = [[x0, y0], [x0, y0 + bend], [x1, y1 - bend], [x1, y1]]
  if (upto < 1) { // the first part of the curve, by de Casteljau's construction
    const mix = (p, q) => [p[0] + (q[0] - p[0]) * upto, p[1] + (q[1] - p[1]) * upto]
    const ab = mix(a, b), bc = mix(b, c), cd = mix(c, d), abc = mix(ab, bc), bcd = mix(bc, cd)
    ;[b, c, d] = [ab, abc, mix(abc, bcd)]
  }
  return [a, b, c, d]
}

function canvasPen(context, font) {
  return {
    rect(x, y, w, h, color, { alpha = 1, radius = 0, stroke = null, width = 1 } = {}) {
      context.globalAlpha = alpha
      context.beginPath()
      context.roundRect(x, y, w, h, radius)
      if (color) { context.fillStyle = color; context.fill() }
      if (stroke) { context.strokeStyle = stroke; context.lineWidth = width; context.stroke() }
    },
    line(x0, y0, x1, y1, color, width, alpha) {
      context.globalAlpha = alpha
      context.strokeStyle = color
      context.lineWidth = width
      context.beginPath()
      context.moveTo(x0, y0)
      context.lineTo(x1, y1)
      context.stroke()
    },
    arc(x0, y0, x1, y1, color, width, alpha, upto = 1) {
      const [a, b, c, d] = curveTo(x0, y0, x1, y1, upto)
      context.globalAlpha = alpha
      context.strokeStyle = color
      context.lineWidth = width
      context.beginPath()
      context.moveTo(...a)
      context.bezierCurveTo(...b, ...c, ...d)
      context.stroke()
    },
    dot(x, y, radius, color, alpha) {
      context.globalAlpha = alpha
      context.fillStyle = color
      context.beginPath()
      context.arc(x, y, radius, 0, 7)
      context.fill()
    },
    text(string, x, y, { size, color, weight = 400, align = "start", turn = 0, alpha = 1, halo = null }) {
      context.save()
      context.globalAlpha = alpha
      context.font = `${weight} ${size}px ${font}`
      context.textAlign = align === "middle" ? "center" : align
      context.translate(x, y)
      context.rotate(turn * Math.PI / 180)
      if (halo) { context.strokeStyle = halo; context.lineWidth = 3; context.lineJoin = "round"; context.strokeText(string, 0, 0) }
      context.fillStyle = color
      context.fillText(string, 0, 0)
      context.restore()
    },
    row(image, x, y, w, h, alpha = 1) {
      context.globalAlpha = alpha
      context.imageSmoothingEnabled = false
      context.drawImage(image, x, y, w, h)
    },
    clip(x, y, w, h) { context.save(); context.beginPath(); context.rect(x, y, w, h); context.clip() },
    unclip() { context.restore() },
  }
}

function svgPen(font) {
  const out = []
  let clips = 0
  const escaped = text => text.replace(/[&<>"]/g, c => `&#${c.charCodeAt(0)};`)
  const f = x => +x.toFixed(1)
  return {
    rect(x, y, w, h, color, { alpha = 1, radius = 0, stroke = null, width = 1 } = {}) {
      out.push(`<rect x="${f(x)}" y="${f(y)}" width="${f(Math.max(0, w))}" height="${f(Math.max(0, h))}" rx="${radius}" fill="${color ?? "none"}"`
        + (stroke ? ` stroke="${stroke}" stroke-width="${width}"` : "") + ` opacity="${alpha}"/>`)
    },
    line(x0, y0, x1, y1, color, width, alpha) {
      out.push(`<line x1="${f(x0)}" y1="${f(y0)}" x2="${f(x1)}" y2="${f(y1)}" stroke="${color}" stroke-width="${width}" opacity="${alpha}"/>`)
    },
    arc(x0, y0, x1, y1, color, width, alpha, upto = 1) {
      const [a, b, c, d] = curveTo(x0, y0, x1, y1, upto).map(point => point.map(f).join(" "))
      out.push(`<path d="M${a}C${b} ${c} ${d}" fill="none" stroke="${color}" stroke-width="${f(width)}" opacity="${f(alpha)}"/>`)
    },
    dot(x, y, radius, color, alpha) {
      out.push(`<circle cx="${f(x)}" cy="${f(y)}" r="${f(radius)}" fill="${color}" opacity="${f(alpha)}"/>`)
    },
    text(string, x, y, { size, color, weight = 400, align = "start", turn = 0, alpha = 1, halo = null }) {
      out.push(`<text transform="translate(${f(x)} ${f(y)})${turn ? ` rotate(${turn})` : ""}" font-size="${f(size)}" font-weight="${weight}" `
        + `text-anchor="${align}" fill="${color}" opacity="${alpha.toFixed(2)}"`
        + (halo ? ` paint-order="stroke" stroke="${halo}" stroke-width="3" stroke-linejoin="round"` : "") + `>${escaped(string)}</text>`)
    },
    row(image, x, y, w, h, alpha = 1) {
      out.push(`<image x="${f(x)}" y="${f(y)}" width="${f(w)}" height="${f(h)}" preserveAspectRatio="none" opacity="${alpha}" `
        + `style="image-rendering:pixelated" href="${image.toDataURL()}"/>`)
    },
    clip(x, y, w, h) {
      out.push(`<clipPath id="c${clips += 1}"><rect x="${f(x)}" y="${f(y)}" width="${f(w)}" height="${f(h)}"/></clipPath><g clip-path="url(#c${clips})">`)
    },
    unclip() { out.push("</g>") },
    document: (w, h, title) => `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" width="${w}" height="${h}" role="img" `
      + `font-family="${escaped(font)}"><title>${escaped(title)}</title>${out.join("")}</svg>`,
  }
}
