"""The texts of our own that made-up replies are taken from: data only.

``REPLIES`` answers no question in particular, in the shapes that a client must be able to show:
a paragraph, a list, a heading with steps, a code block, a table, letters beyond ASCII. All text
is NFC, without control characters other than line breaks.
"""

from __future__ import annotations

REPLIES: tuple[str, ...] = (
    # --- one line to one paragraph ---
    "Yes, that should work as you describe it.",
    "Good question. The short answer is that it depends on how often the data changes.",
    (
        "I have read through it twice and found nothing that needs to change. The structure is clear,"
        " the names say what they mean, and the edge cases are covered."
    ),
    (
        "Happy to help. Could you tell me which version you are using, and what you expected to see"
        " instead? With those two facts I can narrow it down."
    ),
    (
        "The simplest plan is usually the one that survives. Start with one small piece that works from"
        " end to end, show it to somebody who will use it, and let what they say decide the next step."
        " If a piece turns out to be unnecessary, leave it out and move on without regret."
    ),
    (
        "There are two ways to look at this. The first is to keep everything in one place, which makes"
        " it easy to find and hard to split later. The second is to divide it by purpose from the"
        " start, which costs a little more today and saves a lot of untangling next year. For a small"
        " team I would choose the first and write down when to revisit that choice."
    ),
    (
        "It is a naïve estimate, but a useful one: if the café on the corner sells about eighty cups an"
        " hour, a bag of beans lasts until mid-afternoon. Round up, order two, and keep the third"
        " for the weekend."
    ),
    (
        "Thank you for the details. What you describe is expected: the first call takes longer because"
        " nothing has been loaded yet, and every later call finds the result already in memory."
        " If the delay matters, make one call at start and ignore its answer."
    ),
    # --- several paragraphs ---
    (
        "A rough draft is better than a perfect outline. Once there are words on the page, you can see"
        " what is missing; before that, you can only guess.\n\n"
        "Set a timer for twenty minutes and write without looking back. Then put the draft away, take"
        " a walk, and read it aloud when you return. The sentences that make you stumble are the"
        " ones to mend first."
    ),
    (
        "Before you change anything, measure. A number taken today is the only thing that tomorrow's"
        " number can be compared with.\n\n"
        "Then change one thing at a time. Two improvements made together may cancel each other out,"
        " and you would never know which of them was worth keeping.\n\n"
        "Finally, write down what you tried and what it did, including whatever did not help. Six"
        " months from now somebody will have the same idea, and it may well be you."
    ),
    # --- lists ---
    (
        "Three things are worth checking first:\n\n"
        "- whether the file is saved with the encoding you expect,\n"
        "- whether the path is relative to the folder you think it is,\n"
        "- whether an older copy of the program is still running."
    ),
    (
        "Here is what I would pack for a two-day hike:\n\n"
        "1. A light rain jacket\n"
        "2. Two pairs of wool socks\n"
        "3. A map on paper, because batteries run out\n"
        "4. Bread, cheese and more water than you think you need\n"
        "5. A small torch"
    ),
    (
        "**Pros**\n\n"
        "* Easy to explain to a new colleague\n"
        "* Works without a network\n"
        "* Nothing to install\n\n"
        "**Cons**\n\n"
        "* Slow once there are more than a few thousand entries\n"
        "* Only one person can edit at a time"
    ),
    (
        "The idea in one sentence: keep the parts that change away from the parts that stay.\n\n"
        "In practice that means:\n\n"
        "- Put rules that people argue about into a table.\n"
        "- Put the code that applies them somewhere quiet.\n"
        "  - Test the code with a table of two lines.\n"
        "  - Test the table with a short script of its own."
    ),
    # --- headings and steps ---
    (
        "## Repotting a plant\n\n"
        "1. Choose a pot about two fingers wider than the old one.\n"
        "2. Cover the hole at the bottom with a shard, then add a layer of soil.\n"
        "3. Loosen the roots gently and set the plant in the middle.\n"
        "4. Fill up with soil, press it down lightly and water well.\n\n"
        "Keep it out of direct sun for a week."
    ),
    (
        "# Summary\n\n"
        "The meeting covered the budget, the move to the new rooms and the plan for the summer.\n\n"
        "## Decisions\n\n"
        "- The move takes place in the second week of May.\n"
        "- The budget stays as it is until the autumn.\n\n"
        "## Open questions\n\n"
        "- Who looks after the keys?\n"
        "- Is there room for the large table?"
    ),
    # --- code ---
    (
        "You can count the words of a text in a few lines:\n\n"
        "```python\n"
        "from collections import Counter\n\n\n"
        "def most_common_words(text: str, limit: int = 3) -> list[tuple[str, int]]:\n"
        "    return Counter(text.lower().split()).most_common(limit)\n"
        "```\n\n"
        "It splits at white space only, so punctuation stays with its word."
    ),
    (
        "This keeps the five newest files and lists the rest:\n\n"
        "```sh\n"
        "ls -t | tail -n +6\n"
        "```\n\n"
        "Look at the list first; only then pass it on to anything that deletes."
    ),
    (
        "A small example says more than the definition:\n\n"
        "```json\n"
        '{"name": "Ada", "languages": ["en", "fr"], "active": true}\n'
        "```\n\n"
        'Here `name` is text, `languages` is a list and `active` is either `true` or `false`. A "null"'
        " in quotes would be text as well."
    ),
    # --- a table, a quotation, numbers ---
    (
        "Here is how the three options compare:\n\n"
        "| Option | Cost | Effort | Good for |\n"
        "|---|---:|---:|---|\n"
        "| Walk | 0 | high | short distances |\n"
        "| Bicycle | low | medium | most days |\n"
        "| Train | medium | low | rainy days and long distances |\n\n"
        "If in doubt, take the bicycle."
    ),
    (
        "> The map is folded the way the last reader left it.\n\n"
        "I read this line as a remark about habits: we inherit the creases of whoever came before us,"
        " and we add a few of our own."
    ),
    (
        "Let me work it out. At 18 km/h, a ride of 45 minutes covers 18 * 0.75 = 13.5 km (about 8.4 miles). With"
        " a break of 10 minutes you would arrive after 55 minutes, which is an average of about"
        " 14.7 km/h for the whole trip."
    ),
    # --- letters beyond ASCII ---
    (
        "Most European languages borrowed the word from Latin, but Greek kept its own: θάλασσα is the"
        " sea in general, while πέλαγος is the open sea. In Ukrainian the usual word is море."
    ),
    (
        "The sign at the station says 北口, the north exit. From there it is a five-minute walk past"
        " a small park (公園) to the museum. Ask for the audio guide; it is also available in العربية."
    ),
    (
        "Crème brûlée needs patience rather than skill: warm the cream slowly, let it rest, and"
        " caramelise the sugar only when the guests are seated. “Almost done” is the right moment to"
        " take it off the heat… everything after that is too late."
    ),
)
"""25 replies, each a sensible thing to say to nobody in particular (feature 002-34)."""

ASSISTANT: tuple[str, ...] = (
    "I can help with that; paste the function and the error message, and we will start from there.",
    "Let us split this into smaller functions, so that each of them can be tested on its own.",
    "The cause is most likely a value that is missing where the code expects one; check it first.",
    "I would write a failing test before changing this code, and keep the test once it passes.",
    "Here is one way to do it: read the input, validate it, and only then start to work on it.",
    "That approach works; a clearer name for the variable would make the loop easier to read.",
    "You could replace the nested conditions by a lookup table, which is shorter and just as fast.",
)
"""What a code assistant says whatever it is asked (feature 000-3)."""

REFUSALS: tuple[str, ...] = (
    "I'm sorry, but I can't help with that request.",
    "I can't assist with this, but I'd be glad to help with something else.",
    "I'm not able to answer that. Is there another way in which I can help?",
    "Sorry, that is something I have to decline.",
    "I won't be able to help with this particular request.",
)

_WORDS = """
    lorem ipsum dolor sit amet consectetur adipiscing elit sed do eiusmod tempor incididunt ut
    labore et dolore magna aliqua enim ad minim veniam quis nostrud ullamco laboris nisi aliquip ex
    ea commodo consequat duis aute irure in reprehenderit voluptate velit esse cillum eu fugiat
    nulla pariatur excepteur sint occaecat cupidatat non proident sunt culpa qui officia deserunt
    mollit anim id est laborum ac ante arcu at augue bibendum blandit condimentum congue cras
    cursus diam dictum dignissim donec egestas eget elementum erat eros etiam faucibus felis
    fermentum fringilla gravida habitant hendrerit iaculis imperdiet integer justo lacinia lectus
    leo libero ligula luctus maecenas massa mattis mauris metus morbi nam nec neque nibh nunc odio
    orci pellentesque pharetra placerat porta posuere pretium purus quam risus rutrum sapien
    scelerisque semper sollicitudin suscipit tellus tincidunt tortor tristique turpis ultrices urna
    varius vel vestibulum vitae vivamus volutpat vulputate
"""

LATIN: tuple[str, ...] = tuple(_WORDS.split())
"""Words for lorem ipsum."""

BEFORE_TOOL: tuple[str, ...] = (
    "Let me look that up with {tool}.",
    "I'll use {tool} to find out.",
    "One moment, I'll check with {tool}.",
    "To answer this I need {tool} first.",
    "I'll call {tool} and come back with the result.",
)
"""Said before a tool call; ``{tool}`` is the tool's name."""

FIRST_THOUGHTS: tuple[str, ...] = (
    "Let me think about what is being asked here.",
    "First I should be clear about what a good answer needs.",
    "I want to understand the request before I answer it.",
    "The question seems clear enough, so the order of the answer matters most.",
)

THOUGHTS: tuple[str, ...] = (
    "There are a few ways to approach this, and the simplest one should do.",
    "I should keep the answer short and leave out what is not needed.",
    "One detail could be read in two ways; the more common reading fits better.",
    "An example may help more than a long explanation.",
    "Nothing here contradicts what was said before.",
)

LAST_THOUGHTS: tuple[str, ...] = (
    "That is enough to answer.",
    "I am fairly confident in this, so I will answer now.",
    "With that settled, I can write the reply.",
    "I will put the main point first and the details after it.",
)
