"""The story world: a small English grammar of our own, and the generator that tells stories with it.

One text, `GRAMMAR`, is both what the generator draws from and what `parser.py` accepts. Rules whose name
begins with a capital letter are sentences; the others are parts of sentences or sequences of them. In a rule,
a weight is followed by symbols:

    word            printed as it is
    CLASS           a word of that class of the lexicon (CLASS_ED: the past of a verb)
    <rule>          another rule; <rule T> is the rule for the kind of T, as in reason.food
    [A] [A.him]     whoever plays A, as subject, as object; [A.his] [A.self] [A.full] [A.name] likewise
    [T.a] [T]       the thing: "a silver ring", then "the ring"

A is the one the story is about, H who helps, K a relative of A, E who stands in the way; T and U are things,
P is a place. Names, pronouns or descriptions are chosen by what has been told: a pronoun stands only for
someone mentioned in the same sentence or in the one before.
"""

import math
import random
import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

from gptcore.stories.lexicon import (
    CHILD_PAIRS,
    CLASSES,
    ELDER_KIN_PAIRS,
    FAMILY_PAIRS,
    FEMALE_NAMES,
    FOLK_COMMON,
    FOLK_PAIRS,
    MALE_NAMES,
    NOUN_GENDER,
    PREPOSITION,
    ROYAL_PAIRS,
    SIBLING_PAIRS,
    THING_KINDS,
    zipf,
)

GRAMMAR = r"""
story:
  6 <opening> <wanting>
  5 <opening> <losing>
  4 <opening> <giving>
  3 <opening> <rescuing>
  3 <opening> <sharing>
  3 <opening> <making>

opening:
  5 <Intro>
  5 <Intro> <Trait>
  3 <Intro> <Home>
  3 <Intro> <Family>
  2 <Intro> <Trait> <Family>

wanting:
  5 <Want> <Setout> <trouble> <Gain> <finish>
  4 <Want> <Tellkin> <Kinreply> <Setout> <trouble> <Gain> <finish>
  3 <Want> <Tellkin> <Kinreply> <Setout> <Search> <Gain> <finish>
  3 <Want> <Setout> <Search> <meet> <Askwhy> <Tellwant> <Trade> <finish>
  3 <Want> <Tellkin> <Kinreply> <Setout> <meet> <Trade> <finish>

losing:
  5 <Own> <Lose> <Feel> <Search> <meet> <Askwhy> <Telllost> <Foundit> <finish>
  4 <Own> <Lose> <Search> <meet> <Foundit> <finish>
  3 <Own> <Steal> <Feel> <Chase> <trouble> <Getback> <finish>
  2 <Own> <Steal> <Chase> <meet> <Askwhy> <Tellstolen> <Trick> <Getback> <finish>
  2 <Own> <Lose> <Tellkinlost> <Kinhelp> <Search> <Gainback> <finish>

giving:
  5 <Kinneed> <Promise> <Setout> <trouble> <Gain> <Givekin> <kinend>
  3 <Kinneed> <Promise> <Setout> <meet> <Askwhy> <Tellkinneed> <Trade> <Givekin> <kinend>
  2 <Kinneed> <Setout> <Search> <Gain> <Givekin> <kinend>

rescuing:
  5 <Walk> <Trapped> <Begs> <Free> <Thanks> <later>
  3 <Walk> <Trapped> <Free> <later>

later:
  3 <Later> <Beast> <Helpbeast> <friendend>
  3 <Later> <River> <Helpriver> <friendend>
  3 <Later> <Lost> <Feel> <Helplost> <friendend>
  2 <Later> <Own> <Lose> <Foundit> <friendend>

sharing:
  4 <Bothsee> <Quarrel> <Breaks> <Sorry> <Mendit> <friendend>
  3 <Bothsee> <Claim> <Answer> <Breaks> <Sorry> <Mendit> <friendend>
  3 <Bothsee> <Claim> <Answer> <Share> <friendend>
  2 <Bothsee> <Quarrel> <Judge> <Share> <friendend>

making:
  4 <Plan> <Lack> <Setout> <trouble> <Gain> <Made> <Feast>
  3 <Plan> <Lack> <meet> <Askwhy> <Telllack> <Trade> <Made> <Feast>
  2 <Plan> <Lack> <Telllackkin> <Kinreply> <Setout> <Search> <Gain> <Made> <Feast>

trouble:
  4 <River> <meet> <Helpriver>
  2 <River> <meet> <Askwhy> <Tellriver> <Helpriver>
  2 <River> <Feel> <meet> <Helpriver>
  4 <Beast> <meet> <Helpbeast>
  2 <Beast> <meet> <Askwhy> <Tellbeast> <Helpbeast>
  3 <Lost> <meet> <Helplost>
  2 <Lost> <meet> <Askwhy> <Telllostway> <Helplost>
  2 <Lost> <Feel> <meet> <Helplost>
  3 <Storm> <meet> <Helpstorm>
  3 <Locked> <meet> <Helplocked>
  2 <Locked> <meet> <Askwhy> <Telllocked> <Helplocked>
  2 <Locked> <Feel> <meet> <Helplocked>

finish:
  5 <Used T>
  4 <Used T> <Ending>
  3 <Goodbye> <Ending>
  2 <Ending>

kinend:
  5 <Kinglad>
  4 <Kinglad> <Ending>

friendend:
  5 <Friends>
  3 <Friends> <Ending>

# Openings

Intro:
  9 once upon a time there was <aged> [A.noun] named [A.name] .
  7 once there was a [A.noun] named [A.name] who lived in <home A> .
  7 once upon a time [A.name] lived in a HOME_ADJ HOME_FOLK near the NEAR .
  5 long ago , <aged> [A.noun] named [A.name] lived in <home A> .
  7 once upon a time [A.name] lived in <cottage> , and every DAYTIME [A] MOVE_ED to the PLACE_AT .
  4 there once was a [A.noun] whose name was [A.name] .
  4 in a HOME_ADJ HOME_FOLK by the NEAR lived a child named [A.name] .
  3 a long time ago [A.name] lived all alone near the NEAR .
  2 NUMBER TIMEUNIT ago there lived <aged> [A.noun] named [A.name] .

cottage:
  1 a HOME_ADJ HOME_FOLK with a COLOR roof near the NEAR

aged:
  8 a <age>
  4 a <age> and VIRTUE
  2 a very <age>
  1 a rather <age>

oneday:
  8 one DAYTIME
  4 one WEATHER_ADJ DAYTIME
  3 one DAYTIME in SEASON
  1 one WEATHER_ADJ and WEATHER_ADJ DAYTIME

moved:
  8 MOVE_ED
  3 MOVE_ED MOVE_ADV
  1 MOVE_ED as fast as a ANIMAL

aspot:
  7 a SPOT
  4 a COLOR SPOT
  2 a SPOT in the ROOM
  2 a SIZE SPOT with NUMBER TREAT on it
  1 a SPOT that nobody used

thespot:
  7 the SPOT
  4 the COLOR SPOT
  3 the SPOT in the ROOM
  1 the SIZE SPOT that stood near the HOUSEPART

aseat:
  7 a SEAT
  4 a SIZE SEAT
  3 a SEAT by the road
  2 a SEAT in front of a HOME_FOLK

ahiding:
  7 a HIDING
  3 a COLOR HIDING
  3 a HIDING full of TREAT
  1 a SIZE HIDING made of STUFF

afolk:
  6 a FOLK
  4 a <age> FOLK
  3 a FOLK with COLOR PART
  1 a FOLK who was as FLAW as a ANIMAL

then:
  12
  3 then
  2 after a while
  2 at last
  1 in the end

luckily:
  10
  2 luckily
  2 at once
  1 without a word

age:
  6 young
  4 old
  5 VIRTUE
  4 FLAW

home.royal:
  5 a GRAND_ADJ HOME_ROYAL
  3 a HOME_ROYAL with NUMBER COLOR towers
  2 a HOME_ROYAL on the PLACE_ON

home.folk:
  5 a HOME_ADJ HOME_FOLK
  3 a HOME_FOLK by the NEAR
  2 a HOME_FOLK with a COLOR roof

home.child:
  5 a HOME_ADJ HOME_FOLK
  3 a HOME_FOLK by the NEAR
  2 a HOME_FOLK with a COLOR roof

Trait:
  6 [A] was FLAW but VIRTUE , and everyone LOVE_ED [A.him] .
  5 [A] was so VIRTUE that even the ANIMAL <knew> [A.him] .
  4 [A] was neither FLAW nor FLAW , but [A] was often SAD .
  4 every DAYTIME [A] LOVE_ED to <hobby> with [A.his] GROUP .
  4 although [A] was FLAW , [A] always helped [A.his] GROUP .
  3 there was nothing that [A] LOVE_ED more than to <hobby> .
  3 [A] had COLOR PART and a VIRTUE heart .
  3 people said that [A] was as VIRTUE as a ANIMAL .
  2 “ i would like to <hobby> all day , ” [A] often said .
  2 when [A] was FLAW , [A.his] GROUP laughed at [A.him] .
  3 [A] was DEGREE FLAW , yet nobody was more VIRTUE .
  2 not only was [A] VIRTUE , but [A] could also <hobby> .
  2 if a ANIMAL was hurt , [A] always MEND_ED what it needed .
  2 [A] used to <hobby> in the DAYTIME and to <hobby> at night .
  2 some said that [A] was FLAW , but others said that [A] was VIRTUE .
  1 whoever met [A.him] thought that [A] was FLAW .

knew:
  4 followed
  3 trusted
  2 greeted
  1 loved

hobby:
  6 sing a SOUND
  5 tell stories
  4 <play> in the PLACE_IN
  4 count the stars
  3 look at old maps
  3 feed the ANIMAL
  3 MEND the HOUSEPART
  2 draw a ANIMAL
  2 listen to a SOUND

play:
  3 play
  2 sleep
  2 walk
  1 dance
  1 work

Home:
  5 [A.his] ROOM was HOME_ADJ , but it had a COLOR window .
  4 when the nights were long and cold and the wind BLOW_ED over the NEAR , [A.he] often <did> .
  3 when there was no fire in the ROOM and it was WEATHER_ADJ in the HOME_FOLK , [A.he] <did> .
  4 from [A.his] window [A] could see the NEAR and the PLACE_IN .
  4 in front of [A.his] door stood a COLOR SPOT with NUMBER TREAT on it .
  3 behind [A.his] house there was a PLACE_ADJ PLACE_IN full of ANIMALS .
  3 in SEASON the PLACE_IN around [A.his] house was full of ANIMALS .
  2 nobody but [A.name] knew the way to the PLACE_ADJ PLACE_IN behind the NEAR .
  3 on the wall of [A.his] ROOM there was a map of the PLACE_IN .
  2 [A.his] ROOM was so SIZE that NUMBER ANIMALS could sleep in it .
  2 whenever it was WEATHER_ADJ , the ANIMALS came into [A.his] ROOM .

did:
  4 sang a SOUND
  3 read stories about a BEAST
  3 told the ANIMALS a story
  2 thought of the PLACE_BY
  2 made a hot soup
  1 slept under NUMBER coats

Family:
  6 [A] lived there with [K.him] , who was FLAW but VIRTUE .
  4 [A] had a KINWORD who could <hobby> better than anyone .
  4 [A] LOVE_ED [K.him] , and [K] LOVE_ED [A.him] .
  3 both [A] and [K] LOVE_ED to <hobby> .
  3 [K] had taught [A.him] how to <hobby> .
  2 “ you are as VIRTUE as a ANIMAL , ” [K] often told [A.him] .
  3 [A] and [K] always ate NUMBER TREAT in the DAYTIME .
  2 [K] was older than [A.him] and far more FLAW .
  2 neither [A] nor [K] had ever been to the PLACE_AT .

# Wanting

Want:
  8 [A] wanted [T.a] because <reason T> .
  5 <reason T> , so [A] wanted [T.a] .
  5 <oneday> [A] WANT_ED for [T.a] , because <reason T> .
  4 since <reason T> , [A] needed [T.a] .
  4 more than anything , [A] wanted [T.a] to <use T> .
  3 “ if only i had [T.a] , for <myreason T> , ” said [A.full] .
  3 what [A] wanted most was [T.a] , for <reason T> .
  2 [A] dreamed every night that [A] had [T.a] .
  3 every night [A] thought of [T.a] , because <reason T> .
  3 [A] had seen [T.a] at the PLACE_AT , and now [A] wanted one too .
  2 not even a HOME_ROYAL was as dear to [A.him] as [T.a] would have been .
  2 nobody knew that [A] wanted [T.a] , not even [K.him] .

reason.food:
  5 [A] was very hungry
  4 [A] had eaten nothing since the DAYTIME
  3 there was nothing to eat in the house
  3 [A.his] basket was empty
  2 the GROUP were coming to supper
  1 [A] had smelled one at the market

reason.warm:
  5 [A] was always cold
  4 the SEASON was long and cold
  3 [A.his] old WARM was full of holes
  3 the wind blew through [A.his] window
  2 snow was falling on the PLACE_ON
  1 [A] had to sleep in a cold ROOM

reason.light:
  5 [A] was AFRAID of the dark
  4 the nights were long and dark
  3 [A.his] ROOM had no window
  2 [A] liked to read at night
  1 there was no moon over the PLACE_IN

reason.music:
  5 [A] LOVE_ED every SOUND
  4 the house was too quiet
  3 [A] wanted to play at the PLACE_AT
  2 the GROUP liked to dance
  1 there was no music in the PLACE_IN

reason.tool:
  5 the HOUSEPART was broken
  4 [A] had to MEND the HOUSEPART
  3 [A] wanted to build a HOUSEPART
  2 the storm had broken the HOUSEPART
  1 [A.his] old TOOL was rusty

reason.book:
  5 [A] wanted to learn everything
  4 [A] LOVE_ED stories about a BEAST
  3 the evenings were long and quiet
  2 [A] had read all the others
  1 nobody knew the way to the PLACE_IN

reason.jewel:
  5 [A] liked things that SHINE
  4 the GROUP always talked about it
  3 [A] wanted to look like a ROYAL
  2 there was going to be a dance at the HOME_ROYAL
  1 <afolk> had told [A.him] about it

reason.toy:
  5 [A] had nobody to play with
  4 the days were long and dull
  3 [A] was tired of reading
  2 the GROUP were playing without [A.him]
  1 it rained every DAYTIME

reason.medicine:
  5 [A] had been ill for NUMBER TIMEUNIT
  4 [A.his] BODY hurt
  3 the ANIMAL in the barn was sick
  2 [A] could not sleep at night
  1 the doctor had asked for one

myreason.food:
  3 i am very hungry
  2 i have not eaten since the DAYTIME
  2 my basket is empty

myreason.warm:
  3 i am always cold
  2 the wind blows through my window
  2 my old WARM is full of holes

myreason.light:
  3 i am AFRAID of the dark
  2 my ROOM has no window
  1 the nights are long and dark

myreason.music:
  3 i LOVE every SOUND
  2 my house is too quiet
  1 my GROUP like to dance

myreason.tool:
  3 my HOUSEPART is broken
  2 i have to MEND the HOUSEPART
  1 i want to build a HOUSEPART

myreason.book:
  3 i want to learn everything
  2 i LOVE stories about a BEAST
  1 i have read all the others

myreason.jewel:
  3 i like things that SHINE
  2 i want to look like a ROYAL
  1 my GROUP talk about it

myreason.toy:
  3 i have nobody to play with
  2 my days are long and dull
  1 i am tired of reading

myreason.medicine:
  3 i am ill
  2 my BODY hurts
  1 i can not sleep at night

use.food:
  3 eat
  1 share

use.warm:
  3 wear
  1 sleep under

use.light:
  2 see by
  2 read by

use.music:
  3 play
  1 practice on

use.tool:
  3 work with
  1 MEND the HOUSEPART with

use.book:
  3 read
  1 learn from

use.jewel:
  3 wear
  1 look at

use.toy:
  3 play with
  1 hold

use.medicine:
  3 make tea from
  1 get well with

Tellkin:
  6 [A] asked [K.him] where [A] could find [T.a] .
  5 [A] asked [K.him] , “ where can i find [T.a] ? ”
  5 [A] told [K.him] that [A] needed [T.a] because <reason T> .
  3 “ i wish i had [T.a] , ” said [A.full] to [K.him] .
  2 [A] asked whether [K] had ever seen [T.a] .
  3 [A] asked [K.him] for [T.a] , but [K] did not have one .
  2 [A] told [K.him] what [A] wanted , which was [T.a] .

Kinreply:
  6 “ there is [T.a] [P.in] , ” <tagK> .
  5 [K] said that there was [T.a] [P.in] .
  4 “ go to [P] and look behind <thespot> , ” <tagK> .
  4 [K] told [A.him] that <afolk> had seen [T.a] [P.in] .
  3 “ if you go to [P] , you will find [T.a] , ” <tagK> .
  2 [K] shook [K.his] BODY and sent [A.him] to [P] .
  3 [K] did not know , but [K] had heard that there was [T.a] [P.in] .
  2 “ only a ROYAL has [T.a] , and you must ask for it [P.in] , ” <tagK> .

tagA:
  9 <said> [A.full]
  4 [A] said
  2 said [A.full] SPEECH_ADV
  1 [A] said SPEECH_ADV
  1 said [A.full] with a SIZE smile

tagH:
  9 <said> [H.full]
  4 [H] said
  2 said [H.full] SPEECH_ADV
  1 [H] said SPEECH_ADV
  1 said [H.full] with a SIZE smile

tagK:
  9 <said> [K.full]
  4 [K] said
  2 said [K.full] SPEECH_ADV
  1 [K] said SPEECH_ADV
  1 said [K.full] with a SIZE smile

said:
  8 said
  3 answered
  5 SAY

Setout:
  6 so <oneday> [A] <moved> to [P] .
  5 the next DAYTIME [A] put on COLOR CLOTHES and <moved> to [P] .
  4 [A] packed NUMBER TREAT in <ahiding> and <moved> to [P] .
  4 before the sun came up , [A] took a TOOL and <moved> to [P] .
  4 [A] said goodbye to the GROUP and <moved> to [P] .
  3 it was a WEATHER_ADJ DAYTIME when [A] left home and <moved> to [P] .
  3 so [A] took [A.his] WARM , which was COLOR , and <moved> to [P] .
  2 “ i will not come back without [T.a] , ” said [A.full] and <moved> to [P] .
  3 [K] gave [A.him] NUMBER TREAT for the way , and [A] <moved> to [P] .
  3 when it was SEASON , [A] <moved> to [P] with a HIDING on [A.his] back .
  2 because [A] was not AFRAID of anything , [A] <moved> to [P] alone .
  2 although it was WEATHER_ADJ , [A] <moved> to [P] the very same DAYTIME .

Search:
  6 <then> [A] looked under <thespot> and behind <thespot> , but nothing was there .
  5 <then> [A] asked a ANIMAL and a ANIMAL , but neither of them had seen [T.a] .
  4 first [A] looked in the ROOM , and then [A] looked behind <thespot> .
  4 NUMBER TIMEUNIT went by , but [A] did not find [T.a] .
  3 although [A] looked LOOK_ADV , there was nothing but a HIDING full of TREAT .
  3 there was nothing under <thespot> except a HIDING with NUMBER TREAT .
  2 the longer [A] looked for it , the more SAD [A] felt .
  3 [A] looked into every HIDING , but all of them were empty .
  2 neither under <thespot> nor behind <thespot> was there anything .
  2 whoever [A] asked , nobody had seen [T.a] .
  2 [A] asked <afolk> who was sitting on <aseat> , but it was no use .

meet:
  5 <Meetanimal>
  5 <Meetfolk>

Meetanimal:
  6 just then a ANIMAL_ADJ [H.animal] came by .
  5 there [A] met a [H.animal] that could talk .
  4 on <aseat> sat a ANIMAL_ADJ [H.animal] with COLOR PART .
  4 [A] heard a noise and saw a [H.animal] that was hiding behind <aspot> .
  3 behind <aspot> [A] met a [H.animal] that was as VIRTUE as a FOLK .
  2 after NUMBER TIMEUNIT a ANIMAL_ADJ [H.animal] stopped next to [A.him] .
  3 a [H.animal] with COLOR PART was sitting on <aseat> and looked at [A.him] .
  2 [A] almost fell over a ANIMAL_ADJ [H.animal] that was asleep .
  2 the next DAYTIME a [H.animal] followed [A.him] along the road .

Meetfolk:
  6 there [A] met <aged> [H.folk] named [H.name] .
  5 just then a [H.folk] named [H.name] came by .
  4 on <aseat> sat <aged> [H.folk] whose name was [H.name] .
  3 a [H.folk] named [H.name] , who was on the way to the PLACE_AT , stopped next to [A.him] .
  3 [A] heard a noise and saw a [H.folk] named [H.name] , who was feeding a ANIMAL .
  2 after NUMBER TIMEUNIT [A] met <aged> [H.folk] with COLOR PART whose name was [H.name] .
  3 along the road came <aged> [H.folk] with a TOOL , whose name was [H.name] .
  2 [A] almost fell over <aged> [H.folk] named [H.name] , who was asleep .
  2 the next DAYTIME [A] met a [H.folk] named [H.name] , who carried a HIDING full of TREAT .

Askwhy:
  6 “ why are you so SAD ? ” <asked> [H.full] .
  5 [H] asked [A.him] why [A] was so SAD .
  4 “ what are you doing here ? ” <asked> [H.full] SPEECH_ADV .
  3 [H] asked , “ can i help you ? ”
  3 [H] wanted to know what [A] was doing there .
  2 “ you look as SAD as a ANIMAL without a PLACE_BY , ” said [H.full] .
  3 [H] saw that [A] was SAD and asked what was wrong .
  2 [H] looked at [A.him] and asked , “ where are you going ? ”
  2 “ is something wrong , or are you only TIRED ? ” <asked> [H.full] .

asked:
  7 asked
  1 wondered

Tellwant:
  5 “ i want [T.a] because <myreason T> , ” <tagA> .
  4 [A] told [H.him] that [A] wanted [T.a] because <reason T> .
  3 [A] answered that [A] had been looking for [T.a] for NUMBER TIMEUNIT .
  2 “ i am looking for [T.a] , but nobody here has one , ” <tagA> .
  3 [A] told [H.him] everything , and above all how much [A] wanted [T.a] .
  2 “ without [T.a] i can not go home , because <myreason T> , ” <tagA> .

Trade:
  5 <then> [H] had [T.a] and gave it to [A.him] for [U.a] .
  4 <then> [A] gave [H.him] [U.a] , and [H.full] gave [A.him] [T.a] .
  4 <then> [A] helped [H.him] to MEND the HOUSEPART and got [T.a] for it .
  3 because [A] was so VIRTUE , [H] gave [A.him] [T.a] from <ahiding> .
  3 “ if you give me [U.a] , you can have [T.a] , ” said [H.full] , and so it was done .
  2 <then> [H] took [T.a] out of <ahiding> and put it into [A.his] hands .
  3 [H] was so GLAD to have company that [A] got [T.a] from [H.him] .
  2 for [U.a] and NUMBER TREAT [A] bought [T.a] from [H.him] .
  2 “ i have NUMBER of them , ” said [H.full] and gave [A.him] [T.a] .

# Losing and finding

Own:
  6 [A] had [T.a] that [A] LOVE_ED more than anything .
  5 [K] had given [A.him] [T.a] for [A.his] birthday .
  4 [A] always carried [T.a] in <ahiding> .
  4 <oneday> [A] found [T.a] under <aspot> and kept it .
  3 in [A.his] ROOM [A] kept [T.a] which a ROYAL had given [A.him] .
  2 nothing was as dear to [A.him] as [T.a] that [A] kept in <ahiding> .
  3 [T.a] was the only thing that [A] owned .
  2 wherever [A] went , [A] had [T.a] with [A.him] .

Lose:
  6 but <oneday> [A] could not find [T.own] anywhere .
  5 <oneday> [A] looked in the HIDING , but [T.own] was gone .
  4 <oneday> , while [A] was walking to the PLACE_AT , [T.own] fell out of the HIDING .
  4 when [A] came home from the PLACE_AT , [T.own] was no longer there .
  3 <oneday> [A] noticed that somebody had moved [T.own] .
  2 but [A] had forgotten where [T.own] was .
  3 then <oneday> a wind blew [T.own] away , and nobody saw where it fell .
  2 but [A] lent [T.own] to a ANIMAL , and it never came back .

Steal:
  6 one night a BEAST_ADJ [E.beast] came and STEAL_ED [T.own] .
  5 while [A] was sleeping , a BEAST_ADJ [E.beast] STEAL_ED [T.own] .
  4 but a [E.beast] , who wanted [T.own] too , STEAL_ED it from the HIDING .
  3 <oneday> a [E.beast] took [T.own] and ran away with it .
  2 before [A] could do anything , a BEAST_ADJ [E.beast] had taken [T.own] .

Feel:
  6 <then> [A] sat down on <aseat> and WEEP_ED .
  5 <then> [A] was so SAD that [A] WEEP_ED .
  4 “ what shall i do now ? ” <asked> [A.full] SPEECH_ADV .
  3 <then> [A] did not know what to do and felt very SAD .
  3 now [A] was neither GLAD nor KEEN , and [A] WEEP_ED .
  2 “ i have never been so SAD , ” said [A.full] and WEEP_ED .
  3 [A] felt as small as a ANIMAL and WEEP_ED .
  2 [A] was TIRED and SAD , and there was nobody who could help .
  2 if [A] had not been so TIRED , [A] would have gone on .

Chase:
  6 [A] MOVE_ED after [E.him] to [P] .
  5 [A] followed [E.him] for NUMBER TIMEUNIT , all the way to [P] .
  4 “ give me back [T.my] , ” cried [A.full] and MOVE_ED after [E.him] to [P] .
  3 without a word , [A] took a TOOL and followed [E.him] to [P] .

Telllost:
  6 “ i have lost [T.my] , ” <tagA> .
  5 [A] told [H.him] that [A] had lost [T.own] .
  4 “ i am looking for [T.my] , but it is gone , ” <tagA> .
  3 [A] answered that [T.own] was gone and that [A] had looked LOOK_ADV .
  2 [A] said nothing at first , but then [A] told [H.him] about [T.own] .

Tellstolen:
  5 “ a [E.bare] has stolen [T.my] , ” <tagA> .
  4 [A] told [H.him] that a [E.bare] had stolen [T.own] .
  2 “ i want [T.my] back , but i am AFRAID , ” <tagA> .

Tellkinlost:
  5 [A] told [K.him] that [T.own] was gone .
  4 [A] asked [K.him] , “ have you seen [T.my] ? ”
  3 [A] asked [K.him] whether [K] had seen [T.own] .

Kinhelp:
  5 “ we will look for it together , ” <tagK> .
  4 [K] told [A.him] to look behind <thespot> .
  3 [K] asked the GROUP about it , but nobody had seen it .

Foundit:
  6 <then> [H] had seen [T.own] under <aspot> and showed it to [A.him] .
  5 “ is this yours ? ” asked [H.full] and gave [A.him] [T.own] .
  4 <then> [H] looked behind <thespot> , and there was [T] .
  4 together they looked under every SPOT until [H] found [T.own] .
  3 <then> [H] said that a ANIMAL had taken [T.own] to [A.his] ROOM .
  2 it was [H] who found [T.own] in <ahiding> behind <thespot> .
  3 [H] remembered that [T] was lying under <aspot> .
  2 if [H] had not looked into the HIDING , nobody would have found [T] .

Gainback:
  5 at last [A] looked behind <thespot> , and there was [T.own] .
  4 in the end it was [K] who found [T.own] under <aspot> .
  3 NUMBER TIMEUNIT later a ANIMAL brought [T.own] back to [A.him] .

Trick:
  5 <luckily> [H] told [E.him] that there were NUMBER TREAT in the HIDING , and [E] went to look .
  4 while [H] was singing a SOUND , [E] fell asleep .
  3 <luckily> [H] CHASE_ED [E.him] around the SPOT until [E] was TIRED .

Getback:
  5 when [E] was not looking , [A] took [T.own] back .
  4 [E] was sorry and gave [A.him] [T.own] back .
  4 <then> [A] found [T.own] in <ahiding> and took it home .
  3 “ i only wanted to play with it , ” said [E.full] and gave [A.him] [T.own] .
  2 [E] was asleep at last , and very quietly [A] took [T] out of <ahiding> .

# On the way

River:
  6 soon [A] came to a RIVER_ADJ river that had no bridge .
  5 on the way there was a RIVER_ADJ river , and [A] could not swim .
  3 but between [A.him] and [P] there was a river , and it was too RIVER_ADJ to cross .
  2 the river was so RIVER_ADJ that [A] could not cross it .

Tellriver:
  5 “ i can not cross the river , ” <tagA> .
  4 [A] told [H.him] that the river was too RIVER_ADJ .
  3 “ i must cross the river , but i can not swim , ” <tagA> .

Helpriver:
  5 <luckily> [H] knew where there was a boat and took [A.him] across the river .
  5 <luckily> [H] showed [A.him] a bridge behind the PLACE_IN , and soon they were on the other side .
  4 “ there is a boat behind that SPOT , ” said [H.full] , and so they crossed the river .
  3 together they built a bridge from a SPOT and NUMBER planks .
  2 <luckily> [H] tied a rope to a SPOT , and with it [A] crossed the river .
  2 [H] called NUMBER ANIMALS , and they carried [A.him] to the other side .

Beast:
  6 suddenly a BEAST_ADJ [E.beast] jumped out from behind <aspot> .
  5 on the way a BEAST_ADJ [E.beast] BLOCK_ED the road , and [A] was AFRAID .
  4 in the middle of the road stood a [E.beast] that would not let [A.him] pass .
  3 “ nobody may go to the PLACE_IN , ” said a BEAST_ADJ [E.beast] to [A.him] .
  2 [A] heard a noise , and behind <aspot> there was a BEAST_ADJ [E.beast] .

Tellbeast:
  5 “ there is a [E.bare] on the road , ” <tagA> .
  4 [A] told [H.him] that a [E.bare] was on the road .
  3 “ i am AFRAID of the [E.bare] , ” <tagA> .

Helpbeast:
  6 <luckily> [H] took a TOOL and CHASE_ED [E.him] away .
  5 <luckily> [H] sang a SOUND until [E] fell asleep .
  4 <luckily> [H] told [E.him] a story , and [E] laughed so much that [A] could pass .
  3 <luckily> [H] gave [E.him] NUMBER TREAT , and then [E] went home .
  3 neither [H] nor [A] was AFRAID , and so [E] ran away .
  2 when [E] saw [H.him] , it ran to the PLACE_ON as fast as a ANIMAL .
  2 [H] asked [E.him] a riddle , and while [E] was thinking , [A] ran past .
  2 [H] knew that [E] was AFRAID of ANIMALS and called for them .

Lost:
  6 soon it grew dark , and [A] lost [A.his] way .
  5 the road was so long that [A] lost [A.his] way in the PLACE_IN .
  3 after NUMBER TIMEUNIT [A] did not know where [A] was .
  2 whichever way [A] turned , there was only the PLACE_ADJ PLACE_IN .

Telllostway:
  5 “ i do not know the way , ” <tagA> .
  4 [A] told [H.him] that [A] had lost [A.his] way .
  2 “ how do i get to [P] ? ” <asked> [A.full] .

Helplost:
  5 <luckily> [H] knew the way and took [A.him] to [P] .
  4 “ follow me , ” said [H.full] and showed [A.him] the way to [P] .
  4 <luckily> [H] drew a map for [A.him] , and with it [A] found the way .
  3 “ [P] is behind the PLACE_ON , ” said [H.full] and pointed with [H.his] BODY .
  2 since [H] had a LIGHT , they found the way to [P] together .
  2 [H] whistled , and NUMBER ANIMALS came to show [A.him] the way .

Storm:
  6 on the way it began to rain , and the wind BLOW_ED .
  4 then a storm came , and [A] was wet from head to foot .
  3 before [A] was there , a storm BLOW_ED over the PLACE_ON .
  2 it was so WEATHER_ADJ that [A] could not see [A.his] own hands .

Helpstorm:
  5 <luckily> [H] took [A.him] into a SHELTER until the storm was over .
  4 “ come in , ” said [H.full] , and they sat in a SHELTER until morning .
  3 <luckily> [H] gave [A.him] a WARM , and [A] was not cold any more .
  3 they sat by the fire in a SHELTER , and [H] told a story about a BEAST .

Locked:
  6 but the DOOR of the HOME_FOLK was locked , and [A] had no key .
  4 when [A] came to [P] , the DOOR was locked .
  3 but a BEAST had locked the DOOR , and nobody could open it .

Telllocked:
  5 “ i can not open the DOOR , ” <tagA> .
  4 [A] told [H.him] that the DOOR was locked .
  2 “ do you have a key for this DOOR ? ” <asked> [A.full] .

Helplocked:
  5 <luckily> [H] had a key and opened the DOOR for [A.him] .
  4 <luckily> [H] found a key under <aspot> , and it opened the DOOR .
  3 <luckily> [H] knew another way in , which was through the HOUSEPART .
  2 with a TOOL and a TOOL they opened the DOOR .

Gain:
  6 [P.in] [A] found [T.a] under <aspot> .
  5 at last [A] came to [P] and found [T.a] in <ahiding> .
  4 when [A] came to [P] , there was [T.a] behind <aspot> .
  4 <afolk> [P.in] gave [A.him] [T.a] for NUMBER TREAT .
  3 [P.in] there was <afolk> who had [T.a] and gave it to [A.him] .
  2 the first thing that [A] saw [P.in] was [T.a] .
  3 nobody lived [P.in] , but there was [T.a] under <aspot> .
  2 [P.in] [A] MEND_ED the HOUSEPART of <afolk> and got [T.a] for it .
  2 everything was quiet [P.in] , and on <aseat> lay [T.a] .

# Giving

Kinneed:
  6 <oneday> [K] was ill , and only [T.medicine] could help [K.him] .
  5 [K] was sad , for [K] wanted [T.a] and had no money .
  4 it was almost [K.his] birthday , and [K] wanted [T.a] .
  4 [A] wanted to give [K.him] [T.a] for [K.his] birthday .
  3 “ if only i had [T.a] , ” said [K.full] to [A.him] <oneday> .
  2 [K] had always wanted [T.a] , because the evenings were so long .

Promise:
  5 “ i will find [T.a] for you , ” <said> [A.full] to [K.him] .
  4 [A] promised that [A] would not come home without [T.a] .
  3 because [A] LOVE_ED [K.him] , [A] promised to find [T.a] .
  2 [A] told nobody about it , but [A] wanted to find [T.a] .

Tellkinneed:
  4 “ i need [T.a] for my [K.bare] , ” <tagA> .
  4 [A] told [H.him] that [K] needed [T.a] .
  2 [A] answered that [A] was looking for [T.a] for [K.him] .

Givekin:
  5 <then> [A] MOVE_ED home and gave [K.him] [T] .
  4 when [A] came home , [A] put [T] into [K.his] hands .
  3 before it was dark , [A] was home again and gave [K.him] [T] .
  2 [A] hid [T] in <ahiding> and waited until [K] found it .

Kinglad:
  5 [K] was so GLAD that [K] LAUGH_ED .
  4 [K] GREET_ED [A.him] and said , “ you are very VIRTUE . ”
  3 “ nobody has ever given me anything so LOVELY , ” <tagK> .
  3 [K] was well again , and both of them LAUGH_ED .
  2 never had [A] seen [K.him] so GLAD .
  2 [K] told everyone in the PLACE_IN how VIRTUE [A] was .

# A friend in need

Walk:
  5 <oneday> [A] <moved> to [P] to look for TREAT .
  4 <oneday> [A] was walking [P.in] with a HIDING full of TREAT .
  3 every DAYTIME [A] <moved> to [P] , even when it was WEATHER_ADJ .

Trapped:
  5 there [A] heard a ANIMAL_ADJ [H.animal] that had fallen into a hole .
  4 under <aspot> lay a ANIMAL_ADJ [H.animal] whose foot was caught in a rope .
  4 there [A] saw <aged> [H.folk] named [H.name] who had fallen into the PLACE_BY .
  3 a [H.folk] named [H.name] was stuck in a tree and could not get down .

Begs:
  5 “ please help me , ” cried [H.full] .
  4 [H] asked [A.him] to help , for it was almost dark .
  2 “ i have been here for NUMBER TIMEUNIT , ” <tagH> .

Free:
  5 <then> [A] took a TOOL and FREE_ED [H.him] .
  4 although [A] was AFRAID , [A] FREE_ED [H.him] at once .
  3 <then> [A] ran to the PLACE_IN , came back with a TOOL , and FREE_ED [H.him] .

Thanks:
  5 “ thank you , i will never forget you , ” <tagH> .
  4 [H] thanked [A.him] and promised to help if [A] was ever in need .
  2 [H] GREET_ED [A.him] and gave [A.him] [U.a] .

Later:
  5 NUMBER TIMEUNIT later [A] MOVE_ED to the PLACE_IN alone .
  4 <oneday> , [A] had to go to the PLACE_ADJ PLACE_IN .

Friends:
  5 after that , [A] and [H] were the best of friends .
  4 [A] thanked [H.him] , and from then on they were friends .
  3 since that day [A] and [H] have been friends .
  2 “ you are a VIRTUE friend , ” <said> [A.full] , and they LAUGH_ED together .
  2 [H] and [A] often met by the PLACE_BY to eat TREAT together .

# Sharing

Bothsee:
  5 <oneday> [A] and <aged> [H.folk] named [H.name] saw [T.a] under <aspot> .
  4 <oneday> [A] met a [H.folk] named [H.name] who wanted [T.a] just as [A] did .
  3 [A] had a friend named [H.name] , and <oneday> they found [T.a] together .

Quarrel:
  5 both of them wanted it , and neither of them would give it up .
  4 [A] pulled on one side of [T] and [H] pulled on the other .
  3 they quarreled about [T] until both of them were TIRED .
  2 neither [A] nor [H] wanted to share it .

Claim:
  5 “ i saw [T] first , ” <tagA> .
  3 [A] said that [T] was [A.his] own because <reason T> .

Answer:
  5 “ but i need it because <myreason T> , ” <tagH> .
  3 [H] answered that [H] had seen it before [A] came .

Breaks:
  5 then [T] fell on the floor and broke in two .
  4 while they were shouting , a BEAST took [T] and broke it .
  3 suddenly there was a loud noise , and [T] was broken .
  2 they pulled so hard that [T] broke .

Sorry:
  5 “ i am sorry , ” said [A.full] , and [H] was sorry too .
  4 [A] was SAD , and [H] was just as sorry .
  3 [H] said that it was nobody but [H.self] who had done it .

Mendit:
  5 together they MEND_ED [T] with a TOOL .
  4 [H] had a TOOL , and with it they MEND_ED [T] .
  3 <afolk> who came by MEND_ED it for NUMBER TREAT .
  2 they did not stop until [T] was as good as new .

Share:
  5 so they agreed that [A] would have it in SEASON and [H] in SEASON .
  4 “ let us share it , ” said [H.full] , and [A] was GLAD .
  3 in the end [A] gave it to [H.him] and felt GLAD .

Judge:
  4 a <age> FOLK told them that LESSON is better than TREASURE .
  3 “ whoever shares it may keep it , ” said <afolk> who came by .

# Making

Plan:
  5 <oneday> [A] wanted to <makes> for [K.his] birthday .
  4 there was going to be a feast [P.in] , and [A] promised to <makes> .
  3 [A] had promised the GROUP that [A] would <makes> .

Lack:
  5 everything was ready , but [A] did not have [T.tool] .
  4 but how could anyone do it without [T.tool] .
  3 [A] had NUMBER TREAT and a TOOL , but what [A] needed was [T.tool] .

Telllack:
  4 “ i can not finish my work without [T.a] , ” <tagA> .
  4 [A] told [H.him] that nothing was missing except [T.a] .

Telllackkin:
  4 [A] asked [K.him] whether [K] had [T.a] .
  3 “ i can not finish it without [T.a] , ” said [A] to [K.him] .
  2 [A] told [K.him] what was missing , which was [T.a] .

makes:
  3 bake NUMBER TREAT
  2 sew a COLOR WARM
  2 build a HOUSEPART
  2 carve a wooden ANIMAL
  1 weave a COLOR WARM
  1 cook a pot of soup

Made:
  5 with [T] it was easy , and [A] WORK_ED until DAYTIME .
  4 <then> [A] MOVE_ED home and WORK_ED WORK_ADV for NUMBER TIMEUNIT .
  3 as soon as [A] had [T] , [A] finished the work .

Feast:
  5 everyone came , and the GROUP LAUGH_ED until DAYTIME .
  4 the GROUP said that they had never seen anything so LOVELY .
  3 when the GROUP saw what [A] had made , they LAUGH_ED .
  2 NUMBER GROUP came to see it , and all of them were GLAD .

# Endings

Used.food:
  4 [A] sat down on <aseat> and ate [T] .
  3 [A] ate [T] in the ROOM and was not hungry any more .
  2 at home [A] gave half of [T] to the GROUP and ate the rest .

Used.warm:
  4 [A] wore [T] all SEASON and was never cold again .
  3 when snow fell , [A] wore [T] and LAUGH_ED at the wind .

Used.light:
  4 that night [T] SHINE_ED , and [A] was not AFRAID any more .
  3 [A] put [T] in the window so that everyone could see it .

Used.music:
  4 [A] played a SOUND on [T] , and the GROUP LAUGH_ED .
  3 every DAYTIME [A] played [T] until the stars SHINE_ED .

Used.tool:
  4 with [T] in one hand , [A] MEND_ED the HOUSEPART .
  3 [A] used [T] to MEND the HOUSEPART before SEASON came .

Used.book:
  4 [A] read [T] from the first page to the last .
  3 every DAYTIME [A] read [T] to the GROUP .

Used.jewel:
  4 [A] wore [T] to the dance , where it SHINE_ED like a star .
  3 when the GROUP saw [T] , they said that [A] looked like a ROYAL .

Used.toy:
  4 [A] played with [T] until it was dark .
  3 now [A] had [T] , and the GROUP came to play with [A.him] .

Used.medicine:
  4 [A] made tea from [T] , and after NUMBER TIMEUNIT everyone was well .
  3 because of [T] , nobody in the house was ill any more .

Goodbye:
  4 [A] said goodbye and MOVE_ED home .
  3 [A] thanked everyone and MOVE_ED home before it was dark .
  2 with [T] in <ahiding> , [A] MOVE_ED home .
  2 [A] GREET_ED everyone before [A] MOVE_ED home .
  2 the way home was long , but [A] sang a SOUND and was not TIRED .

Ending:
  6 from that day on , [A] was never SAD again .
  5 that night [A] was TIRED but GLAD .
  5 so [A] learned that LESSON is better than TREASURE .
  4 “ now i know that LESSON is worth more than TREASURE , ” said [A.full] .
  4 and whenever [A] saw a ANIMAL , [A] LAUGH_ED and thought of that day .
  3 there was nobody in the whole PLACE_IN who was as GLAD as [A.name] .
  3 the GROUP still tell stories about [A.him] .
  2 [A] lived to be very old , and [A] was always VIRTUE .
  2 ever since , [A] has had a ANIMAL that follows [A.him] everywhere .
  3 if you ever come to the PLACE_IN , you may meet [A.him] there .
  3 that is how [A] learned that LESSON is more than TREASURE .
  2 since then [A] has never been SAD for more than NUMBER TIMEUNIT .
  2 [A] was tired that night , but [A] dreamed of TREAT and ANIMALS .
  2 even when [A] was old , [A] never forgot that DAYTIME .
"""


@dataclass(frozen=True, slots=True)
class Word:
    """A word or punctuation mark that stands in the grammar as it is printed."""

    text: str


@dataclass(frozen=True, slots=True)
class Class:
    """One word of a class of the lexicon."""

    name: str


@dataclass(frozen=True, slots=True)
class Rule:
    """Another rule; with a role, the rule for the kind of thing or person that plays it."""

    name: str
    role: str | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """Someone or something of the story, in the form the place asks for."""

    role: str
    form: str


Symbol = Word | Class | Rule | Mention


def _symbol(text: str) -> Symbol:
    if text.startswith("<"):
        return Rule(*text[1:-1].split())
    if text.startswith("["):
        role, _, form = text[1:-1].partition(".")
        return Mention(role, form)
    return Class(text) if text[0].isupper() else Word("I" if text == "i" else text)


def read_grammar(text: str) -> dict[str, tuple[tuple[float, tuple[Symbol, ...]], ...]]:
    """Rules by name, each a tuple of alternatives (weight, symbols)."""
    rules, name = {}, None
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith(" "):
            name = line[:-1]
            rules[name] = []
        elif line.startswith(" "):
            weight, _, rest = line.strip().partition(" ")
            symbols = re.findall(r"<[^>]*>|\[[^]]*\]|\S+", rest)
            rules[name].append((float(weight), tuple(_symbol(symbol) for symbol in symbols)))
    return {name: tuple(alternatives) for name, alternatives in rules.items()}


RULES = read_grammar(GRAMMAR)


def join_tokens(tokens: list[str]) -> str:
    """Tokens with spaces between words and none around marks and inside quotes."""
    text = " ".join(tokens)
    for spaced, tight in _TIGHT:
        text = text.replace(spaced, tight)
    return text


def print_tokens(tokens: list[str]) -> str:
    """The tokens of one sentence as it is printed: spacing, capitals, and *an* before a vowel."""
    if "“" in tokens:
        opened = ["", *tokens[:-1]]
        tokens = [
            t[:1].upper() + t[1:] if before == "“" else t for before, t in zip(opened, tokens, strict=True)
        ]
    text = join_tokens(tokens)
    first = 1 if text.startswith('"') else 0
    return _ARTICLE.sub(r"\1n ", text[: first + 1].upper() + text[first + 1 :])


_TIGHT = ((" ,", ","), (" .", "."), (" ?", "?"), (" 's", "'s"), ("“ ", '"'), (" ”", '"'))
_ARTICLE = re.compile(r"\b([Aa]) (?=[aeiou])")


PRONOUNS = {
    "m": {"": "he", "him": "him", "his": "his", "self": "himself"},
    "f": {"": "she", "him": "her", "his": "her", "self": "herself"},
    "n": {"": "it", "him": "it", "his": "its", "self": "itself"},
}


class Draw:
    """A weighted choice: `draw(teller)` gives an item and adds its surprise to the teller's nats."""

    __slots__ = ("cumulative", "items", "surprise", "weights")

    def __init__(self, items: Sequence, weights: Sequence[float]):
        total = sum(weights)
        self.items = list(items)
        self.weights = [weight / total for weight in weights]
        self.surprise = [-math.log(weight) for weight in self.weights]
        self.cumulative = list(accumulate(self.weights))
        self.cumulative[-1] = 1.0

    def __call__(self, teller):
        i = bisect_right(self.cumulative, teller.random())
        teller.nats += self.surprise[i]
        return self.items[i]

    def but(self, teller, excluded):
        """The same draw among the items other than `excluded`."""
        items = self.items
        if len(items) < 2:
            raise ValueError(f"There is nothing to draw but {excluded!r}: give the class a second word.")
        while True:
            i = bisect_right(self.cumulative, teller.random())
            if items[i] != excluded:
                break
        teller.nats += self.surprise[i]
        if excluded in items:
            teller.nats += math.log1p(-self.weights[items.index(excluded)])
        return items[i]


class Player:
    """What the story has told so far about one role; None where it has told nothing."""

    __slots__ = ("adjective", "gender", "kind", "last", "name", "noun")

    def __init__(self):
        self.kind = self.noun = self.gender = self.name = self.adjective = None
        self.last = -9


class Teller:
    """One story in the telling: its tokens by sentence, its cast, and the nats of its choices."""

    __slots__ = ("cast", "drawn", "nats", "now", "random", "sentences", "tokens")

    def __init__(self, seed: int):
        self.random = random.Random(seed).random
        self.nats, self.now = 0.0, 0
        self.sentences, self.tokens = [], []
        self.cast = {}
        self.drawn = {}

    def player(self, role: str) -> Player:
        player = self.cast.get(role)
        if player is None:
            player = self.cast[role] = Player()
        return player

    def chance(self, p: float) -> bool:
        """True with probability p, counted in nats."""
        hit = self.random() < p
        self.nats -= math.log(p if hit else 1.0 - p)
        return hit


PEOPLE = ("A", "H", "K", "E")
ALIKE = 0.97  # how often someone who joins the story is of the hero's gender
FAVOR = 1.6  # the grammar's weights are raised to this power: above 1, common forms are commoner still
NAME_RANKS = (5.0, 2.5)  # flatness and steepness of how often names are given, see `zipf`


def _in_focus(teller, player):
    """Whether a pronoun would be understood: mentioned a sentence ago, and nobody else of that gender since."""
    if player.last < teller.now - 1:
        return False
    return not any(
        other is not player and other.gender == player.gender and other.last >= teller.now - 1
        for role, other in teller.cast.items()
        if role in PEOPLE
    )


def _full(teller: Teller, role: str) -> None:
    """Name or description, for someone who is not in focus."""
    player = teller.player(role)
    player.last = teller.now
    if role == "K":
        _possessive(teller, "A")
        if player.noun is None:
            hero = teller.player("A")
            stage = "young" if hero.kind in (None, "child") else "grown"
            player.noun = KIN[stage, hero.gender](teller)
            player.gender = NOUN_GENDER[player.noun]
        teller.tokens.append(player.noun)
    elif player.name and not (player.noun and teller.chance(0.12)):
        teller.tokens.append(player.name)
    else:
        teller.tokens += ("the", player.noun)


def _possessive(teller: Teller, role: str) -> None:
    player = teller.player(role)
    if player.last == teller.now or _in_focus(teller, player):
        teller.tokens.append(PRONOUNS[player.gender]["his"])
        player.last = teller.now
    else:
        _full(teller, role)
        teller.tokens.append("'s")


def _subject(teller: Teller, role: str) -> None:
    """A pronoun for whoever is in focus; a full mention for anyone else."""
    player = teller.player(role)
    if player.last == teller.now or _in_focus(teller, player):
        teller.tokens.append(PRONOUNS[player.gender][""])
        player.last = teller.now
    else:
        _full(teller, role)


def _refer(teller, role, case):
    """A pronoun for whoever this sentence has mentioned; else, in focus, a pronoun or a full mention."""
    player = teller.player(role)
    if player.last == teller.now or (_in_focus(teller, player) and teller.chance(0.65)):
        teller.tokens.append(PRONOUNS[player.gender][case])
        player.last = teller.now
    else:
        _full(teller, role)


def _introduce(teller: Teller, role: str, form: str) -> None:
    """A name or a noun that the story has not told yet, kept for the rest of it."""
    player = teller.player(role)
    player.last = teller.now
    other = teller.player("H" if role == "A" else "A")
    if form == "name":
        if player.name is None:
            gender = player.gender or GENDER_DRAW[other.gender](teller)
            player.gender = gender
            player.name = NAMES[gender].but(teller, other.name) if other.name else NAMES[gender](teller)
        teller.tokens.append(player.name)
        return
    if player.noun is None:
        draw = CAST_NOUNS[form, other.gender if role == "H" else None]
        chosen = draw.but(teller, other.noun) if form != "beast" and other.noun else draw(teller)
        player.noun = chosen
        player.kind, player.gender = NOUN_KIND[form][chosen]
    teller.tokens.append(player.noun)


def _thing(teller: Teller, role: str, form: str) -> None:
    thing = teller.player(role)
    if form in THING_KINDS:
        thing.kind, form = form, "a"
    if form == "" and thing.last == teller.now:
        teller.tokens.append("it")
        return
    thing.last = teller.now
    first = thing.noun is None
    if thing.kind is None:
        thing.kind = KIND_DRAW(teller)
    if first:
        thing.noun = ""
        if form != "bare" and teller.chance(0.5):
            thing.adjective = THING_ADJ[thing.kind](teller)
    if form == "own":
        form = "" if teller.chance(0.5) else "his"
    if form == "a":
        teller.tokens.append("a")
    elif form == "my":
        teller.tokens.append("my")
    elif form == "his":
        _possessive(teller, "A")
    elif form == "":
        teller.tokens.append("the")
    if thing.adjective and form != "bare" and (first or teller.chance(0.4)):
        if first and teller.chance(0.2):
            teller.tokens.append(CLASS["SIZE"](teller))
        teller.tokens.append(thing.adjective)
    if first:
        other = teller.player("U" if role == "T" else "T")
        thing.noun = (
            THING[thing.kind].but(teller, other.noun)
            if other.kind == thing.kind
            else THING[thing.kind](teller)
        )
    teller.tokens.append(thing.noun)


def _place(teller: Teller, role: str, form: str) -> None:
    place = teller.player(role)
    first = place.noun is None
    if first:
        place.kind = PLACE_DRAW(teller)
    if form == "in":
        teller.tokens.append(PREPOSITION[place.kind])
    teller.tokens.append("the")
    if first and teller.chance(0.4):
        teller.tokens.append(CLASS["PLACE_ADJ"](teller))
    if first:
        place.noun = CLASS[place.kind](teller)
    teller.tokens.append(place.noun)


def _mention(symbol):
    """The action that mentions someone or something, by its role and form."""
    role, form = symbol.role, symbol.form
    if role in "TU":
        return lambda teller: _thing(teller, role, form)
    if role == "P":
        return lambda teller: _place(teller, role, form)
    if form == "full":
        return lambda teller: _full(teller, role)
    if form == "bare":
        return lambda teller: teller.tokens.append(teller.player(role).noun)
    if form == "he":
        return lambda teller: _subject(teller, role)
    if form == "his":
        return lambda teller: _possessive(teller, role)
    if form in ("name", "noun", "folk", "animal", "beast"):
        return lambda teller: _introduce(teller, role, form)
    return lambda teller: _refer(teller, role, form)


def _draw_class(name):
    """The action that prints a word of a class, never the one it printed last in this story."""
    draw = CLASS[name]

    def act(teller):
        last = teller.drawn.get(name)
        word = teller.drawn[name] = draw(teller) if last is None else draw.but(teller, last)
        teller.tokens.append(word)

    return act


def _dispatch(symbol):
    """The action that goes on with the rule for the kind of whoever or whatever plays the role."""
    draw = KIND_DRAW if symbol.role == "T" else HOME_DRAW

    def act(teller):
        player = teller.player(symbol.role)
        if player.kind is None:
            player.kind = draw(teller)
        ACTIONS[f"{symbol.name}.{player.kind}"](teller)

    return act


def _action(symbol):
    if isinstance(symbol, Word):
        return lambda teller, text=symbol.text: teller.tokens.append(text)
    if isinstance(symbol, Class):
        return _draw_class(symbol.name)
    if isinstance(symbol, Mention):
        return _mention(symbol)
    return _dispatch(symbol) if symbol.role else lambda teller: ACTIONS[symbol.name](teller)


def _rule_action(name, alternatives):
    """The action of a rule: draw an alternative, act on its symbols; a capital letter makes it a sentence."""
    draw = Draw(
        [tuple(_action(symbol) for symbol in symbols) for _, symbols in alternatives],
        [weight**FAVOR for weight, _ in alternatives],
    )

    def act(teller):
        for step in draw(teller):
            step(teller)

    def tell_sentence(teller):
        act(teller)
        teller.sentences.append(teller.tokens)
        teller.tokens = []
        teller.now += 1

    return tell_sentence if name[0].isupper() else act


CLASS = {name: Draw(words, zipf(len(words), 3.0, 3.0)) for name, words in CLASSES.items()}
NAMES = {
    "m": Draw(MALE_NAMES, zipf(len(MALE_NAMES), *NAME_RANKS)),
    "f": Draw(FEMALE_NAMES, zipf(len(FEMALE_NAMES), *NAME_RANKS)),
}
# Who joins the story is more often of the hero's own gender (the key) than not, so that a story leans to
# "he" or to "she" as most stories for children do, and a reader of a few sentences has something to go by.
GENDER_DRAW = {
    None: Draw(("m", "f"), (1, 1)),
    "m": Draw(("m", "f"), (ALIKE, 1 - ALIKE)),
    "f": Draw(("m", "f"), (1 - ALIKE, ALIKE)),
}
KIND_DRAW = Draw(THING_KINDS, (5, 4, 3, 4, 4, 4, 4, 4, 3))
PLACE_DRAW = Draw(tuple(PREPOSITION), (6, 2, 2, 2))
HOME_DRAW = Draw(("royal", "folk"), (1, 3))
THING = {kind: CLASS[kind.upper()] for kind in THING_KINDS}
THING_ADJ = {kind: CLASS[kind.upper() + "_ADJ"] for kind in THING_KINDS}


def _nouns(groups):
    """A draw over nouns and, by noun, its (kind, gender): groups of (weight, kind, words), pairs kept equal."""
    items, weights, kinds = [], [], {}
    for share, kind, words in groups:
        for word, p in zip(words, zipf(len(words), 2.0, 3.0), strict=True):
            for noun in word.split("/"):
                items.append(noun)
                weights.append(share * p / (1 + word.count("/")))
                kinds[noun] = (kind, "n" if kind in ("animal", "beast") else NOUN_GENDER.get(noun))
    return Draw(items, weights), kinds


def _leaning(draw: Draw, gender: str | None) -> Draw:
    """The same draw with nouns of one gender made likelier than those of the other; None leaves it even."""
    if gender is None:
        return draw
    share = {gender: ALIKE, None: 0.5, "n": 0.5}
    weights = [w * share.get(NOUN_GENDER.get(noun), 1 - ALIKE) for noun, w in zip(draw.items, draw.weights)]
    return Draw(draw.items, weights)


PERSON_GROUPS = (
    (0.3, "royal", ROYAL_PAIRS),
    (0.2, "folk", FOLK_PAIRS),
    (0.25, "folk", FOLK_COMMON),
    (0.25, "child", CHILD_PAIRS),
)
CAST = {
    "noun": _nouns(PERSON_GROUPS),
    "folk": _nouns(PERSON_GROUPS),
    "animal": _nouns([(1.0, "animal", CLASSES["ANIMAL"])]),
    "beast": _nouns([(1.0, "beast", CLASSES["BEAST"])]),
}
CAST_NOUNS = {
    (form, gender): _leaning(draw, gender) for form, (draw, _) in CAST.items() for gender in (None, "m", "f")
}
NOUN_KIND = {form: kinds for form, (_, kinds) in CAST.items()}
KIN = {}
for _gender, _spouse in (("m", "wife"), ("f", "husband")):
    _young = ((0.6, ELDER_KIN_PAIRS), (0.4, SIBLING_PAIRS))
    _grown = ((0.3, ELDER_KIN_PAIRS), (0.3, SIBLING_PAIRS), (0.3, FAMILY_PAIRS), (0.1, [_spouse]))
    for _stage, _groups in (("young", _young), ("grown", _grown)):
        _draw, _ = _nouns([(share, "kin", words) for share, words in _groups])
        KIN[_stage, _gender] = _leaning(_draw, _gender)
ACTIONS = {}
ACTIONS.update({name: _rule_action(name, alternatives) for name, alternatives in RULES.items()})


@dataclass(frozen=True, slots=True)
class Story:
    """A story as it is printed, its sentences, and what its choices were worth.

    `entropy` is the sum of -ln p over all choices the generator made, in nats, the end of the story included.
    """

    text: str
    entropy: float
    sentences: tuple[str, ...]


def write_story(seed: int) -> Story:
    """The story of a seed: the same text for the same integer on every machine."""
    teller = Teller(seed)
    ACTIONS["story"](teller)
    sentences = tuple(print_tokens(tokens) for tokens in teller.sentences)
    return Story(" ".join(sentences), teller.nats, sentences)


def write_stories(n: int, seed: int = 0) -> list[Story]:
    """The first n stories of a world; story i depends on (seed, i) alone, so more stories never change the first."""
    return [write_story(seed * 2**32 + index) for index in range(n)]


PROMPTS = (
    "Once upon a time there was a young queen named Mira.",
    "Once upon a time there was an old king named Oscar.",
    "Once there was a baker named Tom who lived in a small house.",
    "Once upon a time Anna lived in a little cottage near the sea.",
    "Long ago, a brave princess named Clara lived in a golden castle.",
    "There once was a wizard whose name was Emil.",
    "In a tiny hut by the river lived a child named Leo.",
    "A long time ago Nora lived all alone near the forest. One morning",
    "Once there was a sailor named Finn who lived in a house by the sea. More than anything, he wanted",
    "Once upon a time there was a shy girl named Ella. Ella had a silver ring that",
    "Once upon a time there was a clever prince named Hugo. One day",
    "Suddenly an angry wolf jumped out from behind a tree.",
)
