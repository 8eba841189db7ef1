const inBrackets = value => value < 0 ? `(${shown(value)})` : shown(value)

// The formula of one number with its own operands. Each line is a list of texts and operands; an operand that is a
// number of another stage knows where it stands, so that one can go there.
function formulaLines(map, stage, n) {
  const { say, data, state } = map, column = n[0], result = n.at(-1), token = state.token
  if (stage.form.startsWith("capped_")) {
    const cap = shown(n.at(-2)), form = stage.form.replace("capped_", "")
    const [first, ...others] = formulaLines(map, { ...stage, form }, [...n.slice(0, -2), result])
    return [[`${cap} × tanh((`, ...first, `) ÷ ${cap})`], ...others]
  }
  const from = i => map.places.get(stage.from.at(i))
  const op = (value, to = null, at = token, col = column) => ({ value, to, token: at, column: col })
  const sum = (terms, left, rest) => {
    const line = []
    terms.forEach((term, i) => line.push(i ? " + " : "", ...term))
    if (left || rest) line.push(terms.length ? " + " : "", fill(say.more, { n: left, rest: shown(rest) }))
    return line
  }
  const triples = last => Array.from({ length: (n.length - last - 1) / 3 }, (_, i) => n.slice(1 + 3 * i, 4 + 3 * i))
  const inner = stage.inner, head = Math.floor(column / inner), inHead = column % inner
  const grouped = (i, h) => Math.floor(h / (stage.groups / map.stages[from(i)].groups))
  switch (stage.form) {
    case "row": return [[say.table_row]]
    case "product": {
      const terms = triples(3).map(([w, x, i]) => [op(w), " × ", op(x, from(0), token, i)])
      return [[...sum(terms, n.at(-3), n.at(-2))], [fill(say.largest_terms, { n: map.stages[from(0)].width })]]
    }
    case "norm": {
      const [, x, mean, size, gain, shift] = n, centered = mean ? ["(", op(x, from(0)), ` − ${inBrackets(mean)})`] : [op(x, from(0))]
      const root = fill(mean ? say.deviation : say.root, { n: inner, size: shown(size) })
      return [[root], [...centered, " ÷ ", op(size), " × ", op(gain), ` (${say.gain})`, ...shift ? [` + ${inBrackets(shift)}`] : []]]
    }
    case "rotation": {
      const [, x, cos, partner, sin, position, frequency] = n, angle = position * frequency, half = inner / 2
      const other = column + (inHead < half ? half : -half)
      return [[fill(say.angle, { position, frequency: shown(frequency), angle: shown(angle) })],
        [op(x, from(0)), ` × cos(${shown(angle)}) ${inHead < half ? "−" : "+"} `, op(inHead < half ? -partner : partner, from(0), token, other), ` × sin(${shown(angle)})`],
        [`= ${shown(x)} × ${inBrackets(cos)} ${inHead < half ? "−" : "+"} ${inBrackets(inHead < half ? -partner : partner)} × ${inBrackets(sin)}`]]
    }
    case "sum": return [[op(n[1], from(0)), " + ", op(n[2], from(-1))]]
    case "scores": {
      const key = inHead, q = map.stages[from(0)].inner, k = grouped(1, head)
      const terms = triples(4).map(([a, b, i]) => [op(a, from(0), token, head * q + i), " × ", op(b, from(1), key - data.before, k * q + i)])
      const root = Math.abs(n.at(-2) * Math.sqrt(q) - 1) < 1e-3
      return [["(", ...sum(terms, n.at(-4), n.at(-3)), root ? `) ÷ √${q}` : `) × ${shown(n.at(-2))}`],
        [fill(say.dimensions, { dims: triples(4).map(term => term[2] + 1).join(", "), n: q })]]
    }
    case "mask": {
      const [, score, query, key] = n, may = Number.isFinite(result)
      return [[fill(may ? say.may : key > query ? say.later : say.too_far, { query: query + 1, key: key + 1 })], [op(score, from(0)), may ? " + 0" : " + (−∞)"]]
    }
    case "softmax": {
      const [, score, largest, total, count] = n
      return [[fill(stage.pairs ? say.row_of_head : say.row_of_words, { largest: shown(largest), total: shown(total), n: count.toLocaleString("en") })],
        ["exp(", op(score, from(0)), ` − ${inBrackets(largest)}) ÷ ${shown(total)}`]]
    }
    case "mixed": {
      const values = map.stages[from(1)], seen = map.stages[from(0)].inner
      const terms = triples(3).map(([w, v, key]) => [op(w, from(0), token, head * seen + key), " × ",
        op(v, from(1), key - data.before, grouped(1, head) * values.inner + inHead), ` (${map.tokens[key - data.before] ?? key + 1})`])
      return [sum(terms, n.at(-3), n.at(-2))]
    }
    case "activation": return [[`${data.activation}(`, op(n[1], from(-1)), ")"]]
    case "times": return [[op(n[1], from(0)), " × ", op(n[2], from(1))]]
  }
  return []
}

// What the formula is about: head, query and key, or token and number.
function cellName(map, stage, column) {
  const { say, state, tokens, data } = map, head = Math.floor(column / stage.inner) + 1, inside = column % stage.inner
  const token = `${tokens[state.token]} (${state.token + 1 + data.before})`
  if (stage.pairs) return fill(say.cell_pair, { head, query: token, key: `${tokens[inside - data.before] ?? ""} (${inside + 1})` })
  if (["logits", "probabilities"].includes(stage.kind)) return fill(say.cell_word, { token, word: map.word(stage, column), id: column })
  return fill(stage.groups > 1 ? say.cell_head : say.cell_number, { token, head, number: inside + 1, n: stage.inner })
}
