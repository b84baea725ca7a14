#!/usr/bin/env python3
"""Writes tests/data/token_encodings.json: small tokenizers with what the real `tokenizers` makes of some texts.

pip install tokenizers sentencepiece; python tests/data/make_token_encodings.py
The Unigram models and their replacements are SentencePiece's own. tests/checkpoint/piece_encoder_test.cpp reads the file.
"""

import io
import json
import pathlib
import struct
import tempfile

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

OUT = pathlib.Path(__file__).parent / "token_encodings.json"
LINES = [
    "The cat sat on the mat, and the dog sat on the cat.", "Unbelievable! Unforgettable? Believe the cat...",
    "Ein schöner Tag für Überraschungen; naïve café", "don't can't won't: 12345 67,890.12", "日本語のテキスト",
]
TEXTS = LINES + [
    "", " ", "  The  cat\tsat\n", "ÉMILE ecole\u0301 CAFÉ", "ﬁne ofﬁce Ⅷ ½", "a\u200bb\x01c\ufffd", "e\u0301\u0301 \u0301a",
    "Überraschungen" * 3, "zzz 😀😀 q", "[MASK] the[MASK]cat  [MASK]", "<unk>x", "\r\nthe\r\ncat", "!!!???...", "caté 日 本",
    "----------", "İstanbul", "\u0301The", "the\u00a0cat\u3000sat",
]
RULES = {"ﬁ": "fi", "Ⅷ": "VIII", "e\u0301": "é", "\r\n": " ", "\u200b": "", "½": "1⁄2", "\u00a0": " ", "\u3000": " "}


def fields(data):
    """The fields of a protobuf message: numbers, and integers or bytes."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        size = {0: 0, 1: 8, 5: 4}.get(key & 7)
        if size == 0:
            yield key >> 3, varint()
            continue
        size = varint() if size is None else size
        yield key >> 3, data[at:at + size]
        at += size


def sentence_piece(**options):
    """A Unigram model that SentencePiece trains, and the normaliser of its replacements."""
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in RULES.items():
            rules.write("\t".join(" ".join(f"{ord(c):X}" for c in text) for text in (source, target)) + "\n")
        rules.flush()
        model = io.BytesIO()
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(LINES * 2), model_writer=model, model_type="unigram", hard_vocab_limit=False,
            normalization_rule_tsv=rules.name, minloglevel=2, num_threads=1, character_coverage=0.98, **options)
    pieces, replacements = [], b""
    for number, value in fields(model.getvalue()):
        if number == 1:
            piece = dict(fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece.get(2, bytes(4)))[0]))
        elif number == 3:
            replacements = dict(fields(value))[2]
    made = Tokenizer(models.Unigram(pieces, 0, options.get("byte_fallback", False)))
    return made, normalizers.Precompiled(replacements)


def word_piece(normaliser, pre_tokenizer, **options):
    made = Tokenizer(models.WordPiece(unk_token="[UNK]", **options))
    made.normalizer, made.pre_tokenizer = normaliser, pre_tokenizer
    made.train_from_iterator(LINES, trainers.WordPieceTrainer(vocab_size=120, special_tokens=["[UNK]"],
                                                              show_progress=False))
    return made


def tokenizers():
    pre = pre_tokenizers
    bert = word_piece(normalizers.BertNormalizer(), pre.BertPreTokenizer())
    bert.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    bert.add_tokens(["Émile"])
    yield "bert", bert
    yield "cased", word_piece(normalizers.BertNormalizer(lowercase=False), pre.Whitespace(), max_input_chars_per_word=8)
    yield "punctuation", word_piece(
        normalizers.Sequence([normalizers.NFKD(), normalizers.StripAccents(), normalizers.Lowercase()]),
        pre.Sequence([pre.WhitespaceSplit(), pre.Punctuation("contiguous")]))
    made, replacing = sentence_piece(vocab_size=100)
    made.normalizer, made.pre_tokenizer = replacing, pre.Metaspace()
    yield "unigram", made
    made, replacing = sentence_piece(vocab_size=350, byte_fallback=True)
    made.normalizer = normalizers.Sequence([normalizers.Nmt(), replacing, normalizers.Strip(left=False),
                                            normalizers.Replace(Regex(" {2,}"), "▁")])
    made.pre_tokenizer = pre.Sequence([pre.WhitespaceSplit(), pre.Metaspace(prepend_scheme="first")])
    yield "bytes", made
    words = Tokenizer(models.WordLevel(unk_token="<unk>"))
    words.pre_tokenizer = pre.CharDelimiterSplit(" ")
    words.train_from_iterator(LINES, trainers.WordLevelTrainer(special_tokens=["<unk>"], show_progress=False))
    yield "words", words


made = {name: {"tokenizer": json.loads(one.to_str()),
               "encodings": [[text, one.encode(text, add_special_tokens=False).ids] for text in TEXTS]}
        for name, one in ((name, Tokenizer.from_str(one.to_str())) for name, one in tokenizers())}
OUT.write_text(json.dumps(made, ensure_ascii=True) + "\n")
