"""The words of the testbed: ordinary, in CMUdict, and neutral but for the adjectives.

Adjectives are words that are nothing but adjectives, ten or more of every polarity kept for development and for test.
Each polarity has short and long ones and shares no prefix or suffix that the others lack, so that phones and tags tell
nothing of it.
"""

from __future__ import annotations

from data_modules.corpora.contract import Split

#: split -> sentiment -> kind of noun -> adjectives.
ADJECTIVES: dict[Split, dict[int, dict[str, str]]] = {
    "train": {
        1: {
            "person": "kind gentle friendly noble wise merry gracious heroic witty sincere joyful compassionate"
            " admirable courteous lovable talented sweet lively energetic passionate patient faithful decent"
            " charming fearless jolly considerate virtuous humane valiant dependable likable helpful",
            "thing": "lovely splendid superb magnificent marvelous glorious pleasant exquisite terrific fabulous"
            " radiant sublime graceful lavish tasty nice pretty adorable precious romantic majestic memorable"
            " remarkable spectacular stylish vibrant enjoyable glamorous handsome phenomenal sensational"
            " luxurious great",
        },
        0: {
            "person": "tall young local elderly rural senior junior foreign Norwegian southern blond slim adult Danish"
            " Polish Spanish Irish Turkish Italian Canadian Lutheran bearded Belgian Korean Cuban Persian"
            " Russian Scottish Hungarian Portuguese Japanese federal municipal",
            "thing": "wooden annual coastal circular oval rectangular vertical hourly digital weekly portable"
            " electronic metallic ceramic beige central adjacent separate outer inner identical previous upper"
            " yellow seasonal magnetic compact parallel quarterly brown usual regular visible",
        },
        -1: {
            "person": "rude jealous corrupt ruthless sinister malicious wicked hateful crooked bitter foolish nasty"
            " dumb ignorant despicable angry careless clumsy cynical devious guilty immoral insane reckless"
            " violent stubborn cowardly deceitful grouchy vile callous heartless abusive",
            "thing": "horrid hideous shabby grim dismal ghastly dreary lousy atrocious pathetic foul stale hazardous"
            " dirty faulty bad bleak gross messy painful poisonous sad scary smelly tragic vulgar wretched"
            " grotesque sloppy deadly nauseous tacky monstrous",
        },
    },
    "dev": {
        1: {
            "person": "cheerful generous clever brilliant thoughtful affectionate",
            "thing": "beautiful fantastic delightful impressive attractive elegant",
        },
        0: {
            "person": "Swedish Austrian urban western Finnish regional",
            "thing": "daily triangular electric nearby lower purple",
        },
        -1: {
            "person": "evil lazy greedy hostile dishonest brutal",
            "thing": "horrible disgusting miserable toxic dreadful gruesome",
        },
    },
    "test": {
        1: {
            "person": "honest brave polite loyal caring courageous",
            "thing": "wonderful excellent gorgeous perfect awesome amazing",
        },
        0: {
            "person": "Mexican Dutch eastern suburban provincial Brazilian",
            "thing": "monthly spherical woolen diagonal mechanical external",
        },
        -1: {
            "person": "cruel arrogant vicious stupid savage treacherous",
            "thing": "awful terrible ugly useless worthless appalling",
        },
    },
}

#: role in a template -> words.
WORDS: dict[str, str] = {
    "person": "baker farmer teacher doctor clerk driver singer painter writer gardener student lawyer sailor pilot"
    " tailor butcher carpenter barber neighbor reporter waiter plumber banker librarian actor dancer hunter"
    " miner tutor widow",
    "people": "bakers farmers teachers doctors clerks drivers singers painters writers gardeners students lawyers"
    " sailors pilots tailors butchers carpenters barbers neighbors reporters waiters plumbers bankers actors dancers",
    "room": "kitchen garden village school office factory hotel station museum cottage hospital castle",
    "part": "table door window lamp clock chair floor roof gate bench mirror carpet",
    "thing": "basket ladder letter bottle piano barrel wagon statue carriage blanket fountain cabinet boat bicycle"
    " drum suitcase",
    "place": "river market church bridge harbor forest tower stable library meadow theater temple",
    "tool": "telescope camera lantern umbrella mirror flashlight ladder rope ticket candle",
    "did": "opened painted measured cleaned repaired moved touched copied inspected described",
    "waited": "waited listened paused nodded whispered arrived departed turned stopped woke",
    "stood": "stood remained appeared rested leaned",
    "matched": "matched covered touched faced replaced",
    "saw": "saw watched noticed followed observed found met",
    "near": "near behind beside by",
    "met": "met called joined invited visited phoned",
    "lived": "lived worked arrived sang slept waited cooked",
    "nearby": "upstairs downstairs outside inside yesterday today abroad again",
    "because": "because while before after until once",
    "bell": "bell train music dog parade engine whistle radio meeting tide concert",
    "rang": "started stopped ended returned began resumed continued",
}
