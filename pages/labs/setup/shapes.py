"""Chapter 1: the playground of shapes, and numbers bit by bit."""

import streamlit as st

from gptcore.lessons import shapes
from gptcore.lessons.number_formats import FORMATS, store
from pages.kit import cell_map, controls, escape, formulas, lab, words
from pages.kit.cell_map import CellMap
from pages.kit.controls import Dial
from pages.kit.formulas import Formula, Line, number

LARGEST = 6
SIZE_KEYS = ("c1_shape_ar", "c1_shape_ac", "c1_shape_br", "c1_shape_bc")
NEXT_SIZES = {"A + B": (3, 1, 1, 4), "A @ B": (2, 5, 5, 3), "A.view": (4, 3, 2, 6), "A.T": (2, 5, 1, 1)}


@st.fragment
def playground() -> None:
    """Two tensors, one operation: the shapes, and the result or the rule it breaks."""
    text = words.load("01_setup")
    with lab.frame("c1_shape", text.read("lab_shape_title")):
        text.show("lab_shape")
        operation = controls.choice(text.read("lab_shape_what"), "c1_shape_op", list(shapes.OPERATIONS))
        names = {
            "A.view": (text.read("lab_shape_view_rows"), text.read("lab_shape_view_columns")),
        }.get(operation, (text.read("lab_shape_b_rows"), text.read("lab_shape_b_columns")))
        labels = (text.read("lab_shape_a_rows"), text.read("lab_shape_a_columns"), *names)
        sizes = [
            _size(column, label, key, default)
            for column, label, key, default in zip(st.columns(4), labels, SIZE_KEYS, (3, 4, 1, 4))
        ]
        a, b = (sizes[0], sizes[1]), (sizes[2], sizes[3])
        try:
            outcome = shapes.OPERATIONS[operation](a, b)
        except shapes.ShapeError as error:
            st.error(escape.sentence(f"These shapes do not fit: {error}."), icon=":material/block:")
            _repair_buttons(shapes.repairs(operation, a, b, LARGEST)[:2], labels)
        else:
            _draw(text, operation, a, b, outcome)
        _predict_shape(text, operation, a, b)


def _size(column, label: str, key: str, default: int) -> int:
    with column:
        return controls.integer(label, key, Dial("", 1, LARGEST, 1, ""), default)


def _repair_buttons(repairs: list[dict[int, int]], labels: tuple[str, ...]) -> None:
    """Buttons for the nearest sizes that work."""
    with st.container(horizontal=True):
        for number, changes in enumerate(repairs):
            st.button(
                ", ".join(f"{labels[size_index]} = {size}" for size_index, size in changes.items()),
                key=f"c1_shape_repair_{number}",
                on_click=_set_sizes,
                args=({SIZE_KEYS[size_index]: size for size_index, size in changes.items()},),
            )


def _set_sizes(values: dict[str, int]) -> None:
    for key, value in values.items():
        st.session_state[key] = value


def _draw(text: words.Words, operation: str, a, b, outcome) -> None:
    tensors = [("A", shapes.counted(a))]
    if operation in ("A + B", "A @ B"):
        tensors.append(("B", shapes.counted(b, 10)))
    tensors.append((operation, outcome.result))
    parts = ("a", "b", "result") if len(tensors) == 3 else ("a", "result")
    for column, (name, values), part in zip(st.columns(len(tensors)), tensors, parts):
        with column:
            rows, columns = values.shape
            st.markdown(f"**{name}**, ({rows}, {columns})")
            drawing = CellMap(
                values=values.tolist(),
                rows=[str(i + 1) for i in range(rows)],
                columns=[str(i + 1) for i in range(columns)],
                row_title="row",
                column_title="column",
                what=name,
                highest=None,
                numbers=".0f",
            )
            cell_map.show(
                drawing,
                lambda i, j, name=name: _formula(name, a, b, i, j),
                key=f"c1_shape_{part}",
                default=(0, 0),
            )
    if operation == "A + B":
        text.show(
            "lab_shape_sum",
            ar=a[0],
            ac=a[1],
            br=b[0],
            bc=b[1],
            rows=outcome.result.shape[0],
            columns=outcome.result.shape[1],
        )
    elif operation == "A @ B":
        text.show("lab_shape_product", rows=a[0], columns=b[1], inner=a[1], n=2 * a[0] * a[1] * b[1])
    strides = tuple(outcome.result.stride())
    first = outcome.after_writing[0, 0].item()
    if outcome.shares_memory:
        text.show("lab_shape_shares", written=shapes.WRITTEN, first=first, strides=str(strides))
    else:
        text.show("lab_shape_own", written=shapes.WRITTEN, first=first)


def _formula(name: str, a: shapes.Shape, b: shapes.Shape, i: int, j: int) -> Formula:
    """Where one number of A, B or the result comes from; rows and columns count from 0."""
    x, y = shapes.counted(a), shapes.counted(b, 10)
    title = f"{name}, row {i + 1}, column {j + 1}"
    if name == "A @ B":
        return formulas.dot(
            title, f"row {i + 1} of A", x[i].tolist(), f"column {j + 1} of B", y[:, j].tolist()
        )
    if name == "A + B":
        from_a, from_b = ((i % shape[0], j % shape[1]) for shape in (a, b))
        left, right = float(x[from_a]), float(y[from_b])
        lines = [_origin("A", from_a), _origin("B", from_b)]
        lines.append(Line("sum", f"{number(left)} + {number(right)}", number(left + right)))
        return Formula(title, tuple(lines), left + right)
    if name == "A.T":
        value = float(x[j, i])
        return Formula(title, (Line("A.T[i, j]", f"A[{j + 1}, {i + 1}]", number(value)),), value)
    width = b[1] if name == "A.view" else (a if name == "A" else b)[1]
    index = i * width + j
    value = float((y if name == "B" else x).flatten()[index])
    line = Line("position in memory, from 0", f"{i} × {width} + {j}", str(index))
    return Formula(title, (line, Line("value", "", number(value))), value)


def _origin(name: str, cell: tuple[int, int]) -> Line:
    return Line(f"{name} is read at", f"row {cell[0] + 1}, column {cell[1] + 1}")


def _predict_shape(text: words.Words, operation: str, a, b) -> None:
    """Predict the shape for other sizes, which are valid for the same operation."""
    next_sizes = NEXT_SIZES[operation]
    next_a, next_b = next_sizes[:2], next_sizes[2:]
    right = tuple(shapes.OPERATIONS[operation](next_a, next_b).result.shape)
    wrong = [
        next_a,
        next_b,
        (next_a[1], next_a[0]),
        (next_a[0], next_a[1] + next_b[1]),
        (next_b[1], next_a[0]),
    ]
    options = [right, *[shape for shape in dict.fromkeys(wrong) if shape != right]][:4]
    options.sort(key=str)
    lab.predict(
        "c1_shape",
        text.read("lab_shape_predict", operation=operation, a=str(next_a), b=str(next_b)),
        [str(shape) for shape in options],
        right=options.index(right),
        because=text.read("lab_shape_because", shape=str(right)),
        then=dict(zip(SIZE_KEYS, next_sizes)),
    )


@st.fragment
def bits() -> None:
    """One number in three formats, bit by bit."""
    text = words.load("01_setup")
    text.show("lab_bits")
    left, right = st.columns(2, gap="large")
    with left:
        mantissa = controls.number(
            text.read("lab_bits_number"), "c1_bits_x", -9.9, 9.9, 0.1, 0.1, text.read("lab_bits_number_help")
        )
    with right:
        power = controls.integer(
            text.read("lab_bits_power"),
            "c1_bits_power",
            Dial("", -10, 10, 1, text.read("lab_bits_power_help")),
            0,
        )
    value = mantissa * 10.0**power
    stored = {name: store(value, name) for name in FORMATS}
    for name, number_bits in stored.items():
        error = abs(number_bits.value - value) / abs(value) if value else 0.0
        st.markdown(f"**{name}** `{number_bits.sign}` `{number_bits.exponent}` `{number_bits.fraction}`")
        st.caption(
            text.read(
                "lab_bits_line",
                kept=f"{number_bits.value:.9g}",
                error=error,
                largest=number_bits.largest,
                step=number_bits.next_above_one,
            )
        )
    text.show("lab_bits_says")
