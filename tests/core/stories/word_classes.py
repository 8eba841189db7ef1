"""What the tests know of the story world's words: the class a school grammar gives each, and its gender."""

from gptcore.stories.lexicon import CLASSES, FEMALE_NAMES, GENDER, MALE_NAMES, NOUN_GENDER, VERBS

# The traditional class of every word, for the sequence of classes that a sentence is; the first that holds counts.
_FUNCTION_WORDS = {
    "mark": ", . ? “ ”",
    "article": "a an the",
    "pronoun": """
I me my you your yours he him his himself she her herself it its itself they them their we us who whose
whoever which whichever what that this such nobody somebody someone everyone everybody anyone anything
nothing everything something neither both others one another most half none
""",
    "auxiliary": """
am is are was were be been do did does has have had can could will would shall may must might let
""",
    "conjunction": """
and but or nor because since although while when whenever until if whether than as so before after
""",
    "preposition": """
of in on at by to into from with without under behind near over across through between around about for
except upon along beside like out up down off inside
""",
    "determiner": "every all no any each some more whole own other many",
    "question": "where why how",
    "adverb": """
luckily suddenly soon then yet also above anywhere past not never always often once ago just still only
even too now there here away back home together almost ever later first together already far again alone
asleep much next longer better best well
""",
    "possessive": "'s",
}
_POS_OF_CLASS = {
    "SPEECH_ADV": "adverb", "MOVE_ADV": "adverb", "LOOK_ADV": "adverb", "WORK_ADV": "adverb",
    "DEGREE": "adverb", "NUMBER": "number", "SAD": "adjective", "GLAD": "adjective", "AFRAID": "adjective",
    "TIRED": "adjective", "KEEN": "adjective", "VIRTUE": "adjective", "FLAW": "adjective", "COLOR": "adjective",
    "SAY": "past verb",
}  # fmt: skip
_LITERAL_VERBS_PAST = """
brought built carried drew followed forgot found gave hid kept lent lost noticed owned pulled remembered saw
showed stood stopped taught took trusted waited
said answered asked wondered agreed ate began broke broken came caught crossed done dreamed eaten fallen fell felt
finished forgotten given gone bought got grew heard hurt jumped knew learned left lay lived locked looked
made met slept sang moved named needed opened packed pointed put quarreled rained read sat seen sent shook
smelled stolen stuck swam taken talked thought tied told turned used wore
"""
_LITERAL_VERBS = """
ask bake build carve draw feed find follow give keep meet see sew show sleep stop use weave
come count cross eat fall finish forget get hold hurts know learn listen look make need open pass please
rain share shares swim talk tell wear blows follows
"""
_LITERAL_ING = """
lying sitting thinking coming doing falling feeding going hiding looking missing playing reading shouting
singing sleeping walking
"""
_LITERAL_ADJECTIVES = (
    "good hot same wrong older broken dear dull easy full ill last ready sick sorry wet worth middle"
)


_NOUN_KINDS = dict.fromkeys(("ANIMAL", "ANIMALS", "BEAST"), "animal noun") | {
    name: kind
    for kind, names in {
        "person noun": "FOLK ROYAL KINWORD GROUP",
        "place noun": "PLACE_IN PLACE_ON PLACE_AT PLACE_BY HOME_ROYAL HOME_FOLK NEAR ROOM SHELTER",
        "thing noun": "FOOD WARM LIGHT MUSIC TOOL BOOK JEWEL TOY MEDICINE CLOTHES TREAT",
    }.items()
    for name in names.split()
}


def _word_classes() -> dict[str, str]:
    tags = {}
    for tag, words in _FUNCTION_WORDS.items():
        for word in words.split():
            tags.setdefault(word, tag)
    literal = (("past verb", _LITERAL_VERBS_PAST), ("verb", _LITERAL_VERBS), ("participle", _LITERAL_ING))
    for tag, words in (*literal, ("adjective", _LITERAL_ADJECTIVES)):
        for word in words.split():
            tags.setdefault(word, tag)
    for name in (*MALE_NAMES, *FEMALE_NAMES):
        tags.setdefault(name, "name")
    for name, words in CLASSES.items():
        if name in VERBS:
            tag = "verb"
        elif name.endswith("_ED"):
            tag = "past verb"
        elif name in _NOUN_KINDS:
            tag = _NOUN_KINDS[name]
        else:
            tag = _POS_OF_CLASS.get(name) or ("adjective" if name.endswith("_ADJ") else "noun")
        for word in words:
            tags.setdefault(word, tag)
    for noun in (*NOUN_GENDER, "child"):
        tags.setdefault(noun, "person noun")
    return tags


WORD_CLASS = _word_classes()


def word_class(word: str) -> str:
    """The traditional class of a word ("noun", "past verb", "preposition"); "noun" where none is listed."""
    return WORD_CLASS.get(word) or WORD_CLASS.get(word.lower(), "noun")


def gender_of(word: str) -> str | None:
    """Gender of a name or of a noun for a person: "m", "f", or None where the word fits both or neither."""
    return GENDER.get(word) or NOUN_GENDER.get(word)
