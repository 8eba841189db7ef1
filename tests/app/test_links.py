"""Values a link may not ask for are told, with the rule; the others pass in silence."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.kit import links


@pytest.mark.parametrize(
    ("rule", "value"),
    [
        (links.Number(1, 16), "4"),
        (links.Number(8, 512, 2), "130"),
        (links.Number(0.0, 2.0, 0.05), "0.8"),
        (links.Choice(["stories", "paste"]), "paste"),
        (links.Text(5), "abcde"),
        (links.Switch(), "true"),
    ],
)
def test_legal_values_pass(rule, value):
    assert links.refusal("key", value, rule) is None


@pytest.mark.parametrize(
    ("rule", "value", "says"),
    [
        (links.Number(1, 16), "17", "a whole number from 1 to 16"),
        (links.Number(1, 16), "0", "a whole number from 1 to 16"),
        (links.Number(1, 16), "many", "a whole number from 1 to 16"),
        (links.Number(1, 16), "nan", "a whole number from 1 to 16"),
        (links.Number(8, 512, 2), "129", "in steps of 2"),
        (links.Number(0.0, 2.0, 0.05), "2.5", "a number from 0 to 2"),
        (links.Choice(["stories", "paste"]), "book", "one of stories, paste"),
        (links.Text(5), "abcdef", "at most 5 characters"),
        (links.Switch(), "perhaps", "true or false"),
    ],
)
def test_illegal_values_are_told_with_their_rule(rule, value, says):
    sentence = links.refusal("key", value, rule)
    assert f"`key={value}`" in sentence
    assert says in sentence


def test_a_value_cannot_break_out_of_its_code_span():
    sentence = links.refusal("k", "`**x**\n\n# y", links.Number(0, 1))
    assert "`k=ˋ**x** # y`" in sentence and "\n" not in sentence


def script():
    import streamlit as st

    from pages.kit import controls

    value = controls.integer("Heads", "heads", controls.Dial("Heads", 1, 16, 1, "help"), 4)
    st.write(f"value {value}")


def test_a_refused_value_is_told_and_the_default_used():
    app = AppTest.from_function(script)
    app.query_params["heads"] = "99"
    app.run()
    assert "`heads=99`" in app.warning[0].value
    assert app.markdown[0].value == "value 4"


def test_the_sentence_goes_once_the_visitor_moves_the_slider():
    app = AppTest.from_function(script)
    app.query_params["heads"] = "99"
    app.run()
    app.run()
    assert len(app.warning) == 1
    app.slider(key="heads").set_value(8).run()
    assert not app.warning


def test_a_legal_value_moves_the_slider():
    app = AppTest.from_function(script)
    app.query_params["heads"] = "8"
    app.run()
    assert not app.warning
    assert app.markdown[0].value == "value 8"


def keeper():
    import streamlit as st

    from pages.kit import links

    links.restore_sticky()
    st.write(st.query_params.to_dict())


def test_a_parameter_dropped_by_a_page_switch_is_put_back():
    app = AppTest.from_function(keeper)
    app.query_params["run"] = "abc"
    app.query_params["other"] = "x"
    app.run()
    app.query_params.clear()
    app.run()
    assert app.query_params == {"run": "abc"}


def test_only_kept_parameters_can_be_kept():
    with pytest.raises(ValueError, match="other is not one of the kept"):
        links.set_sticky("other", "x")
