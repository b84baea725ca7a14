#!/usr/bin/env python3
"""Writes tests/data/token_encodings.json: small tokenizers with what the real `tokenizers` makes of some texts.

pip install tokenizers sentencepiece; python tests/data/make_token_encodings.py
WordPiece vocabularies differ from run to run, as they are trained. The Unigram models and their replacements are SentencePiece's own. tests/checkpoint/piece_encoder_test.cpp reads the file.
"""

import json
import pathlib
import sys
import tempfile

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "scripts"))
import text_tokenizers  # noqa: E402

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


def sentence_piece(**options):
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rules:
        for source, target in RULES.items():
            rules.write("\t".join(" ".join(f"{ord(c):X}" for c in text) for text in (source, target)) + "\n")
        rules.flush()
        return text_tokenizers.sentence_piece(LINES * 2, normalization_rule_tsv=rules.name, **options)


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
