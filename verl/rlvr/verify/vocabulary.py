"""The closed list of words that may stand beside an answer: units, currencies, and names of what is counted.

A word that is not here makes another answer of it ("42 dozen", "42 or so", "42 upwards"), unless the gold has the same words.
Deliberately left out: numerals, multipliers ("hundred", "half"), comparisons ("more", "about"), negations.
"""

UNITS = {
    "percent": "percent pct percentage %",
    "degree": "degree degrees deg",
    "celsius": "celsius centigrade",
    "fahrenheit": "fahrenheit",
    "radian": "radian radians rad rads",
    "inch": "in inch inches",
    "foot": "ft foot feet",
    "yard": "yd yds yard yards",
    "mile": "mi mile miles",
    "second": "s sec secs second seconds 秒",
    "minute": "min mins minute minutes 分钟",
    "hour": "h hr hrs hour hours 小时",
    "day": "day days 天 日",
    "week": "wk week weeks 周",
    "month": "month months 月",
    "year": "yr yrs year years 年 岁",
    "tonne": "t ton tons tonne tonnes 吨",
    "pound mass": "lb lbs",
    "pound": "pound pounds",
    "ounce": "oz ounce ounces",
    "gallon": "gal gals gallon gallons",
    "quart": "qt quart quarts",
    "pint": "pt pint pints",
    "cup": "cup cups",
    "tablespoon": "tbsp tablespoon tablespoons",
    "teaspoon": "tsp teaspoon teaspoons",
    "acre": "acre acres",
    "hectare": "ha hectare hectares",
    "calorie": "cal calorie calories",
    "kilocalorie": "kcal",
    "horsepower": "hp horsepower",
    "furlong": "furlong furlongs",
    "knot": "knot knots",
    "revolution": "rev revs revolution revolutions",
    "byte": "byte bytes",
    "bit": "bit bits",
    "erg": "erg ergs",
    "dyne": "dyn dyne dynes",
    "atmosphere": "atm atmosphere atmospheres",
    "bar": "bar bars",
    "ångström": "å angstrom angstroms",
    "parsec": "pc parsec parsecs",
    "solar mass": "msun",
    "magnitude": "mag magnitude magnitudes",
    "decibel": "db decibel decibels",
    "light year": "ly lightyear lightyears",
    "unit": "unit units",
    "am": "am",
    "pm": "pm",
    "dollar": "dollar dollars usd us$ buck bucks 美元",
    "cent": "cent cents ¢ penny pennies",
    "euro": "euro euros eur €",
    "pound sterling": "sterling gbp £",
    "yen": "yen jpy ¥",
    "yuan": "yuan rmb cny 元",
    "rupee": "rupee rupees inr rs re ₹",
    "won": "won krw",
    "rouble": "ruble rubles rouble roubles rub",
    "peso": "peso pesos",
    "franc": "franc francs chf",
}
# Names that take a prefix, and their symbols.
METRIC = {
    "metre": ("meter meters metre metres", "m"),
    "gram": ("gram grams gramme grammes gm gms", "g"),
    "litre": ("liter liters litre litres", "L l"),
    "newton": ("newton newtons", "N"),
    "joule": ("joule joules", "J"),
    "watt": ("watt watts", "W"),
    "volt": ("volt volts", "V"),
    "ampere": ("ampere amperes amp amps", "A"),
    "pascal": ("pascal pascals", "Pa"),
    "hertz": ("hertz", "Hz"),
    "ohm": ("ohm ohms", "Ω"),
    "farad": ("farad farads", "F"),
    "coulomb": ("coulomb coulombs", "C"),
    "kelvin": ("kelvin kelvins", ""),  # 5 K may be five thousand
    "mole": ("mole moles", "mol"),
    "electronvolt": ("electronvolt electronvolts", "eV"),
    "tesla": ("tesla teslas", ""),
    "weber": ("weber webers", "Wb"),
    "henry": ("henry henries henrys", "H"),
    "second": ("", "s"),
    "watt hour": ("", "Wh"),
}
PREFIXES = {"kilo": "k", "mega": "M", "giga": "G", "deci": "d", "centi": "c", "milli": "m", "micro": "μ", "nano": "n"}
CHINESE_METRIC = {
    "米": "metre",
    "厘米": "centimetre",
    "千米": "kilometre",
    "公里": "kilometre",
    "毫米": "millimetre",
    "克": "gram",
}
CHINESE_METRIC |= {"千克": "kilogram", "公斤": "kilogram", "升": "litre", "毫升": "millilitre", "度": "degree"}
COMPOUND = {"mph": {"mile": 1, "hour": -1}, "kmh": {"kilometre": 1, "hour": -1}, "kph": {"kilometre": 1, "hour": -1}}
COMPOUND |= {"cc": {"centimetre": 3}, "rpm": {"revolution": 1, "minute": -1}, "fps": {"foot": 1, "second": -1}}
COMPOUND |= {
    "mpg": {"mile": 1, "gallon": -1},
    "平方厘米": {"centimetre": 2},
    "平方米": {"metre": 2},
    "立方米": {"metre": 3},
}


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


NOUNS = _set(
    """
    acorn adult airplane album alien angle animal answer ant appetizer apple arc area arrangement arrow article asymptote
    atom attempt author baby bacterium bag bagel bale ball balloon banana base basket basketball bat battery beach bead bean
    bear bed bee beetle bell belt bench bicycle bike bill bin binder bird biscuit blanket block blouse board boat bond book
    bookcase bookshelf boot bottle bow bowl box boy bracelet branch bread brick bridge brother brownie bucket bug building
    bun bunny burger bus bush butterfly button cabin cage cake calculator calendar call camel camera camp can candidate
    candle candy canoe captain car card carrot carton case cat caterpillar cell center chain chair chapter character chicken
    child chip chocolate choice chord christmas circle city class classmate classroom clip clock club clue coach coat code
    coefficient coin colleague color coloring colour column combination committee company computer cone configuration
    contestant container cookie copy corner country couple course cousin cow coworker cracker crane crate crayon creature
    cruise cube cucumber cupcake curve customer cut cycle cylinder dad dancer dart date daughter delegate desk dessert
    detective diagonal diamond dice die digit dime dinner dinosaur direction disc dish disk diver division divisor doctor
    document dog doll dolphin donut door dot doughnut dragon drawer dress drink driver drop drum duck dvd eagle ear earring
    edge egg element elephant elf email employee engineer entry envelope equation eraser error event exam exercise eye face
    factor factory family fan farm farmer feather female fence field figure file film finger fireman fish flag flamingo
    flavor flea flight floor flower fly follower foot fork form formula fountain fox fraction frame freshman friend frog
    fruit function game garden gate gem geese giraffe girl glass glove goal goat golfer goose grade graph grandchild grape
    grapefruit grid group guest guide guitar hamburger hammer hamster hand handshake hat head heart hen hexagon hole home
    horse hose hospital hotel house human ice icon idea inequality inhabitant insect integer intersection interval island
    item jacket jar jelly jellybean job journalist judge juice jump key keyboard kid king kite kitten knife ladder lady lake
    lamp lane laptop lawn lap lawyer leaf leg lego lemon length leopard lesson letter level library light lightbulb line
    lineup lion list lizard lobster log lollipop lunch machine magazine magnet male man mango map marble margin mark marker
    mask mat match mathematician matrix meal medal meeting member message method microphone milkshake minnow mirror mistake
    model mom monkey monster mosquito mother motorcycle mountain mouse move movie muffin mug multiple mushroom musician nail
    name napkin necklace neighbor neighbour nickel night nose note notebook novel number nurse nut oak object octagon office
    officer olive onion opening option orange orbit order orchid outcome outfit owl package packet pack page pair pan
    pancake panda paper paperclip parabola paragraph parallelogram parent park parrot part participant partition partner
    party passenger password patient pattern pea peach peanut pear pearl pebble peg pen pencil penguin pentagon people
    pepper performance period permutation person pet phone photo photograph pickle picture pie piece pig pigeon pill pillow
    pin pine pineapple pipe pirate pizza place plane planet plank plant plate play player plum pocket poem point pole
    polygon polynomial pond pony pool popsicle position possibility post postcard poster pot potato present pretzel prime
    prism prize problem product professor project puppy puzzle pyramid quadrilateral quadruple question rabbit race radish
    raffle raisin rectangle region relative representative representation result ribbon ride ring river road robot rock role
    roll roommate room root rope rose round route row ruler run runner sandwich scarf school scientist score screw seashell
    season seat section sector seed segment senator sentence sequence set shape sheep sheet shell shelf shelve ship shirt
    shoe shop shot side sign sister skater skirt slice slide slip snack snail snake snowball snowman soccer sock sofa
    soldier solid solution son song sophomore sibling space spectator sphere spider spoon spot square squirrel stamp star
    state statement station step stick sticker stone stool stop store story strategy straw strawberry stripe string
    structure student subcommittee subject subsequence subset sum sundae sunflower sweater swimmer symbol symmetry system
    table tablet tail target task taxi teacher team teenager term test text textbook thread throw ticket tie time tiger tile
    tiling tire toe token tomato tooth toothbrush toothpick top topping toss towel tower town toy track trail train
    translation trapezoid travel traveler tray tree trial triangle tribe trip triple triplet trophy truck trumpet tshirt
    tulip tuple turkey turn turtle tv twin type umbrella uncle valley value van variable variety vase vector vegetable
    vehicle vertex video view villager violin visit visitor volume volunteer vote voter wagon waiter walk wall wallet watch
    watermelon way wave wheel whale window winner wire wolf woman word worker workout worm wrench yak zebra zero zoo 个 只 人 本
    条 张 种 次 名 位 件 块 支 棵 辆 组 对 颗 朵 头 个数
    """
)
INVARIANT = _set("people fish sheep deer children men women mice geese dice teeth lego furniture money")
# Words that may go with a noun or a unit, but not alone.
DESCRIPTIONS = _set(
    """
    baseball basketball big black blue brown chocolate complex congruent consecutive different distinct elementary
    equilateral even extra-large female first-year football glass gold golden gray green grey high isosceles large little
    long male math mathematics middle natural negative new odd old orange ordered paper pink plastic positive possible prime
    purple real red regular right short silver similar small soccer such tall unique unordered valid vanilla white whole
    wooden yellow young
    """
)
FILLERS = _set("of the a an each total altogether them")
IRREGULAR = {
    "children": "child", "people": "person", "men": "man", "women": "woman", "mice": "mouse", "teeth": "tooth", "geese": "goose",
    "vertices": "vertex", "matrices": "matrix", "dice": "die", "leaves": "leaf", "knives": "knife", "wolves": "wolf",
    "shelves": "shelf", "axes": "axis", "loaves": "loaf", "halves": "half", "bacteria": "bacterium", "zeroes": "zero",
    "calves": "calf", "firemen": "fireman", "snowmen": "snowman", "freshmen": "freshman", "elves": "elf", "indices": "index",
    "radii": "radius",
}  # fmt: skip


def singular(word: str) -> str:
    """The singular of an English plural; other words as they are."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    if word.endswith("ies") and len(word) > 4 and word[:-1] not in NOUNS:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zes", "oes", "uses")) and word[:-1] not in NOUNS:
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith(("ss", "us", "is")) else word


def _words() -> dict[str, str]:
    """Every spelled-out name of a unit, in lower case."""
    table = {
        word: unit for unit, words in UNITS.items() for word in words.split() if len(word) > 1 or not word.isascii()
    }
    for unit, (words, _) in METRIC.items():
        for word in words.split():
            table[word] = unit
            for prefix in PREFIXES:
                table[prefix + word] = prefix + unit
    return table | CHINESE_METRIC | {"gm": "gram", "gms": "gram"}


def _symbols() -> dict[str, str]:
    """Every symbol of a unit, whose case matters."""
    table = {word: unit for unit, words in UNITS.items() for word in words.split() if len(word) == 1 and word.isascii()}
    for unit, (_, symbols) in METRIC.items():
        for symbol in symbols.split():
            table[symbol] = unit
            table |= {
                short + symbol: prefix + unit for prefix, short in PREFIXES.items() if short + symbol not in KNOWN_WORDS
            }
    return table | {"kgs": "kilogram", "cms": "centimetre", "kms": "kilometre", "mL": "millilitre"}


KNOWN_WORDS = _words()
KNOWN_SYMBOLS = _symbols()
