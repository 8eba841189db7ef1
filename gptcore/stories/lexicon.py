"""The words of the story world, by class, the frequent ones first.

A word's index in its list is its rank, and ranks are sampled with Zipf-like weights: a few words carry most of the
text and are learned in seconds, the tail keeps the vocabulary wide. Verbs are base/past pairs, gendered nouns
male/female pairs of equal weight, so that *king* and *queen* occur in the same contexts.
"""

import math


def _words(text: str) -> list[str]:
    return text.split()


MALE_NAMES = _words("""
Tom Ben Leo Finn Hugo Oscar Jonas Emil Anton Felix Milo Adam Noah Luca Theo Simon Peter Jakob Karl Otto Ivan
Omar Hassan Kofi Diego Pablo Marco Bruno Nils Sven Lars Erik Olaf Henrik Rufus Silas Elias Tobias Gustav
Victor Walter Harold Edgar Edwin Oliver Samuel Daniel Gabriel Rafael Manuel Pedro Carlos Ramon Andrej Boris
Dimitri Stefan Tomas Viktor Yusuf Karim Tariq Rashid Jamal Idris Kwame Tunde Chidi Hiro Kenji Akira Ravi
Arjun Nikhil Rohan Anand Wei Ming Aaron Caleb Ethan Jasper Linus Magnus Casper Cedric Conrad Desmond Dylan
Elliot Gareth Gilbert Hector Julian Lionel Malcolm Morris Nestor Osmond Percy Quentin Ronan Rupert Ansel
Seamus Tristan Ulrich Vernon Wendell Xavier Yannick Zoltan
""")

FEMALE_NAMES = _words("""
Mira Anna Lena Nora Ella Clara Greta Ida Emma Sofia Maja Elin Alma Hanna Julia Laura Marta Paula Rosa Vera
Tilda Frida Astrid Ingrid Sigrid Karin Helen Irene Agnes Doris Edith Esther Flora Gerda Hilda Judith Kirsten
Lotte Mabel Miriam Olga Petra Ruth Selma Thea Ursula Wanda Yasmin Zara Amina Fatima Leila Nadia Salma Zainab
Amara Ngozi Zola Imani Yuki Hana Keiko Sakura Priya Anjali Meera Lakshmi Ling Mei Carmen Dolores Elena Ines
Isabel Lucia Maria Teresa Bianca Chiara Daphne Eleanor Fiona Gwen Harriet Isolde Jasmin Kiara Louise Margot
Naomi Odette Phoebe Rhona Sabine Tamar Una Violet Winnie Ximena Yvonne Zelda Adele Beatrix Cecily Dagmar
Eloise Freya Gloria Henrietta Ilse Johanna Kendra Lydia
""")

# Nouns for people: (male, female) pairs, then nouns that fit both.
ROYAL_PAIRS = _words("king/queen prince/princess duke/duchess lord/lady emperor/empress baron/baroness")
FOLK_PAIRS = _words("man/woman wizard/witch hero/heroine actor/actress widower/widow sorcerer/sorceress")
CHILD_PAIRS = _words("boy/girl lad/lass")
ELDER_KIN_PAIRS = _words("father/mother uncle/aunt grandfather/grandmother godfather/godmother")
SIBLING_PAIRS = _words("brother/sister stepbrother/stepsister")
FAMILY_PAIRS = _words("son/daughter nephew/niece grandson/granddaughter")
FOLK_COMMON = _words("""
farmer baker miller sailor weaver tailor gardener painter hunter doctor teacher merchant shepherd cook
potter blacksmith carpenter singer dancer juggler cobbler beggar poet captain builder piper student drummer
messenger soldier rider hermit innkeeper woodcutter clockmaker locksmith musician magician beekeeper scholar
""")

WORDS = {
    "ANIMAL": """
fox rabbit bird owl cat dog mouse frog bear horse crow duck goat hedgehog squirrel donkey deer turtle hare
swan goose badger otter beaver raven sparrow toad pony lamb pigeon hen mole magpie robin heron stork dove
snail lizard eagle falcon parrot monkey hamster puppy kitten elephant camel
""",
    "BEAST": "wolf dragon giant troll ogre bull serpent goblin ghost robber boar lion tiger bandit monster",
    # Things that can be wanted, by the need they serve.
    "FOOD": """
pie cake apple loaf pear plum peach melon pancake sandwich biscuit bun pumpkin carrot cherry orange egg
pudding waffle omelet turnip radish cabbage muffin
""",
    "WARM": "coat blanket scarf cloak shawl hat jacket sweater quilt cape vest robe gown hood jersey",
    "LIGHT": "lamp lantern candle torch candlestick matchbox",
    "MUSIC": "flute drum fiddle harp horn whistle trumpet guitar lute bell violin bagpipe tambourine organ",
    "TOOL": "hammer rope ladder axe spade bucket wheel plank rake shovel needle broom hook pulley chisel anvil",
    "BOOK": "book map letter notebook poem scroll atlas diary dictionary riddle",
    "JEWEL": "ring crown necklace pearl mirror coin brooch bracelet diamond ruby emerald medal locket amulet",
    "TOY": "ball kite doll puppet spinner balloon hoop marble sled swing puzzle teddy",
    "MEDICINE": "herb potion flower root mushroom leaf lemon berry tonic ointment thistle lily",
    # What such a thing is like.
    "FOOD_ADJ": "sweet fresh warm ripe tasty juicy crisp delicious crunchy enormous salty",
    "WARM_ADJ": "thick woollen soft warm heavy striped knitted velvet furry purple",
    "LIGHT_ADJ": "bright brass glowing copper tall steady",
    "MUSIC_ADJ": "wooden silver old loud tuneful polished ancient",
    "TOOL_ADJ": "strong iron new long sturdy sharp rusty",
    "BOOK_ADJ": "old thick secret torn dusty leather precious interesting",
    "JEWEL_ADJ": "golden silver shiny tiny sparkling royal glittering antique",
    "TOY_ADJ": "red blue little yellow painted green funny bouncy",
    "MEDICINE_ADJ": "rare white bitter magic wild healing blue unusual",
    # Places, by the word that stands before them.
    "PLACE_IN": """
forest garden village town valley cave city meadow orchard field park jungle swamp desert canyon quarry
vineyard temple museum library mill
""",
    "PLACE_ON": "hill mountain island farm beach cliff shore moor ridge",
    "PLACE_AT": "market fair harbor well fountain crossroads theater festival lighthouse school",
    "PLACE_BY": "river lake sea pond stream waterfall brook canal",
    "PLACE_ADJ": """
old dark big quiet green little far distant beautiful lonely busy misty snowy empty wide hidden
""",
    "HOME_ROYAL": "castle palace tower fortress mansion",
    "HOME_FOLK": "house cottage hut village cabin town mill tent farmhouse",
    "HOME_ADJ": "small little old white stone wooden quiet tiny crooked cozy humble narrow",
    "GRAND_ADJ": "big golden white high splendid famous grand marble",
    "SPOT": """
bed table chair door tree bush stone cupboard bench curtain stove basket wall fence haystack log barrel
bookcase cushion hedge carpet piano wagon sofa staircase ladder tub
""",
    "HIDING": "nest basket hole pocket sack chest drawer jar bag trunk boot teapot",
    "NEAR": "sea forest river mountains lake hills road market border bridge coast woods",
    # What people and animals are like, and how they feel.
    "FLAW": """
shy lazy stubborn proud foolish greedy poor small grumpy impatient vain nosy careless clumsy noisy forgetful
timid thin bossy moody jealous messy
""",
    "VIRTUE": """
kind clever brave gentle wise patient friendly generous polite careful helpful faithful modest tender loyal
thoughtful
""",
    "ANIMAL_ADJ": """
little old clever brown gray white wise young black hungry small friendly lame talking spotted
""",
    "BEAST_ADJ": "big hungry angry fierce terrible wicked huge ugly cruel dreadful",
    "SAD": "sad unhappy worried lonely upset miserable gloomy sorrowful heartbroken",
    "GLAD": "happy glad proud thankful cheerful pleased joyful merry delighted content grateful excited",
    "AFRAID": "afraid scared frightened nervous terrified alarmed",
    "TIRED": "tired weary sleepy exhausted thirsty",
    "KEEN": "brave quick clever strong careful patient lucky stubborn fast",
    "WEATHER_ADJ": "cold dark windy stormy rainy foggy snowy sunny warm cloudy frosty",
    "RIVER_ADJ": "wide deep cold wild broad fast roaring",
    "COLOR": "red blue green white yellow black brown pink gray purple",
    # Adverbs.
    "SPEECH_ADV": "softly quietly kindly politely sadly gently loudly shyly proudly calmly gravely cheerfully",
    "MOVE_ADV": "slowly quickly bravely quietly happily carefully silently boldly swiftly eagerly alone",
    "LOOK_ADV": "everywhere carefully again patiently eagerly anxiously thoroughly",
    "WORK_ADV": "hard carefully gladly slowly quickly patiently cleverly neatly skillfully",
    "DEGREE": "very so quite rather really truly terribly awfully",
    # Times and numbers.
    "DAYTIME": "morning day evening afternoon",
    "SEASON": "winter summer spring autumn",
    "NUMBER": "two three four five six seven ten nine eight twelve twenty hundred",
    "TIMEUNIT": "days hours weeks nights years months",
    "ANIMALS": "birds bees frogs rabbits ducks butterflies sheep mice crickets swallows fireflies geese",
    "GROUP": "friends neighbors children guests cousins villagers servants pupils",
    "TREAT": """
apples nuts cakes berries cookies pancakes candles flowers ribbons pies buns plums eggs feathers buttons
""",
    "PART": "eyes ears hands feet cheeks sleeves pockets buttons",
    "CLOTHES": "boots shoes gloves socks mittens sandals trousers slippers stockings",
    "SEAT": "stone bench log rock stool fence barrel tree chair haystack stump wall box cart",
    "SIZE": "big small huge tiny round heavy tall broad flat",
    "STUFF": "wood leather straw paper glass clay iron wool",
    "LOVELY": "beautiful lovely wonderful fine pretty splendid delightful charming magnificent",
    "BODY": "head heart foot face voice hand nose shoulder",
    "LESSON": """
kindness patience friendship courage honesty love sharing hope wisdom laughter trust thankfulness
""",
    "TREASURE": "gold money silver riches jewels fame power treasure",
    "SOUND": "song tune lullaby melody march waltz ballad",
    "ROOM": "room hall corner bedroom workshop pantry chamber parlor",
    "HOUSEPART": "roof fence door gate window chimney wall boat cart bridge floor staircase",
    "SHELTER": "cave barn hut tree cottage bridge shed tent chapel",
    "DOOR": "gate door",
}

# Verbs: base/past. The base follows *to*, *could*, *did not*; the past tells the story.
VERBS = {
    "MOVE": """
walk/walked go/went run/ran hurry/hurried ride/rode travel/traveled wander/wandered march/marched hike/hiked
rush/rushed stroll/strolled race/raced trot/trotted tiptoe/tiptoed
""",
    "WEEP": "cry/cried weep/wept sigh/sighed sob/sobbed tremble/trembled shiver/shivered groan/groaned",
    "LAUGH": """
smile/smiled laugh/laughed dance/danced sing/sang cheer/cheered clap/clapped bow/bowed nod/nodded
grin/grinned giggle/giggled whistle/whistled
""",
    "WANT": "want/wanted wish/wished long/longed hope/hoped",
    "LOVE": "love/loved like/liked enjoy/enjoyed adore/adored admire/admired",
    "MEND": "mend/mended repair/repaired fix/fixed paint/painted clean/cleaned rebuild/rebuilt wash/washed",
    "WORK": "work/worked study/studied practice/practiced dig/dug plant/planted help/helped play/played",
    "STEAL": "steal/stole snatch/snatched grab/grabbed swipe/swiped",
    "BLOCK": "block/blocked guard/guarded bar/barred close/closed",
    "CHASE": "chase/chased frighten/frightened scare/scared drive/drove trick/tricked lead/led",
    "FREE": "free/freed rescue/rescued release/released untie/untied save/saved",
    "GREET": "greet/greeted hug/hugged thank/thanked kiss/kissed welcome/welcomed embrace/embraced",
    "SHINE": "shine/shone glow/glowed glitter/glittered gleam/gleamed sparkle/sparkled",
    "BLOW": "blow/blew howl/howled roar/roared rage/raged",
}

SAY = "replied whispered explained called cried added promised declared"

GENDER = dict.fromkeys(MALE_NAMES, "m") | dict.fromkeys(FEMALE_NAMES, "f")


def names(gender: str | None = None) -> tuple[str, ...]:
    """All names, or those of one gender ("m" or "f"), the frequent ones first."""
    return tuple(name for name, of in GENDER.items() if gender in (None, of))


def zipf(n: int, flatness: float, steepness: float) -> list[float]:
    """Weights of n ranks, summing to 1: p(rank) proportional to 1 / (rank + flatness)^steepness."""
    raw = [(rank + flatness) ** -steepness for rank in range(n)]
    total = math.fsum(raw)
    return [weight / total for weight in raw]


def _pairs(*lists: list[str]) -> list[tuple[str, str]]:
    return [tuple(pair.split("/")) for pairs in lists for pair in pairs]


_GENDERED = _pairs(
    ROYAL_PAIRS, FOLK_PAIRS, CHILD_PAIRS, ELDER_KIN_PAIRS, SIBLING_PAIRS, FAMILY_PAIRS, ["husband/wife"]
)
NOUN_GENDER = {male: "m" for male, _ in _GENDERED} | {female: "f" for _, female in _GENDERED}
THING_KINDS = ("food", "warm", "light", "music", "tool", "book", "jewel", "toy", "medicine")
PREPOSITION = {"PLACE_IN": "in", "PLACE_ON": "on", "PLACE_AT": "at", "PLACE_BY": "by"}


def _classes() -> dict[str, list[str]]:
    """Every class of the grammar with its words; a verb class gives its base and, as CLASS_ED, its past."""
    classes = {name: words.split() for name, words in WORDS.items()}
    for name, verbs in VERBS.items():
        classes[name], classes[name + "_ED"] = (
            list(forms) for forms in zip(*_pairs(verbs.split()), strict=True)
        )
    classes |= {"SAY": SAY.split(), "FOLK": FOLK_COMMON}
    classes["ROYAL"] = [noun for pair in _pairs(ROYAL_PAIRS) for noun in pair]
    classes["KINWORD"] = [noun for pair in _pairs(ELDER_KIN_PAIRS, SIBLING_PAIRS) for noun in pair]
    return classes


CLASSES = _classes()
