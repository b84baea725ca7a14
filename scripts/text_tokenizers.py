# Tokenizers of the kinds that models have beside BPE (WordPiece, Unigram, WordLevel), trained on some lines, with the
# replacements of real SentencePiece models; and texts to encode. Used by interop_tokenizers.py.
import io
import random
import struct

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

LINES = [
    "The cat sat on the mat, and didn't we'll they've SEE it? 12345 67,890.12", "''Quoted'' and ``quoted'' (in LaTeX)",
    "Ein schöner Tag für Überraschungen; naïve café, Straße, Größe, Äpfel", "Příliš žluťoučký kůň úpěl ďábelské ódy",
    "Съешь же ещё этих мягких французских булок, да выпей чаю", "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία", "日本語のテキスト、漢字。ﾊﾝｶｸ",
    "敏捷的棕色狐狸跳过懒狗", "다람쥐 헌 쳇바퀴에 타고파", "نص حكيم له سر قاطع وذو شأن عظيم", "ऋषियों को सताने वाले दुष्ट राक्षसों", "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า",
    "Pijamalı hasta yağız şoföre çabucak güvendi İSTANBUL", "ĐỜI người ta ai cũng có lúc", "שפן אכל קצת גזר בטעם חסה",
    "def f(x):\n\treturn x ** 2  # comment\n\n\nclass A:   pass", "   leading and trailing   ", "e\u0301 combining, ﬁ ligature ½ ² Ⅷ ™",
    "Zero\u00a0width\u200bspace \r\n\r\n end\u3000x", "emoji 😀👩‍👩‍👧🇩🇪 ❤️", "----------------- ====== ........",
]
RANGES = [(0x20, 0x7E), (0xA0, 0x24F), (0x300, 0x36F), (0x370, 0x5FF), (0x900, 0x97F), (0x2000, 0x206F),
          (0x2E80, 0x33FF), (0xAC00, 0xD7A3), (0xFB00, 0xFDFF), (0xFE00, 0xFFFD), (0x1F300, 0x1F5FF), (0x20, 0x20)]


def texts(lines, count):
    """The lines, parts of them, and `count` texts of random characters."""
    numbers = random.Random(7)
    made = list(lines)
    for line in lines:
        begin = numbers.randrange(len(line) + 1)
        made.append(line[begin:numbers.randrange(begin, len(line) + 1)])
    for _ in range(count):
        made.append("".join(chr(numbers.randint(*numbers.choice(RANGES))) * numbers.choice((1, 1, 2))
                            for _ in range(numbers.randint(1, 25))))
    return made


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


def sentence_piece(lines, **options):
    """A Unigram model that SentencePiece trains, and the normaliser of its replacements."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram", hard_vocab_limit=False,
        minloglevel=2, num_threads=1, character_coverage=0.98, **options)
    pieces, replacements = [], b""
    for number, value in fields(model.getvalue()):
        if number == 1:
            piece = dict(fields(value))
            pieces.append((piece[1].decode(), struct.unpack("<f", piece.get(2, bytes(4)))[0]))
        elif number == 3:
            replacements = dict(fields(value))[2]
    made = Tokenizer(models.Unigram(pieces, 0, options.get("byte_fallback", False)))
    return made, normalizers.Precompiled(replacements)


def word_piece(lines, size, normaliser, pre_tokenizer, **options):
    made = Tokenizer(models.WordPiece(unk_token="[UNK]", **options))
    made.normalizer, made.pre_tokenizer = normaliser, pre_tokenizer
    made.train_from_iterator(lines, trainers.WordPieceTrainer(vocab_size=size, special_tokens=["[UNK]", "[MASK]"],
                                                              show_progress=False))
    return made


def tokenizers(lines, size):
    """Names and tokenizers of about `size` tokens, as models of these names have them."""
    norm, pre = normalizers, pre_tokenizers
    bert = word_piece(lines, size, norm.BertNormalizer(), pre.BertPreTokenizer())
    bert.add_special_tokens([AddedToken("[MASK]", lstrip=True)])
    bert.add_tokens([AddedToken("Café", normalized=True)])
    yield "bert-base-uncased", bert
    yield "bert-base-cased", word_piece(lines, size, norm.BertNormalizer(lowercase=False), pre.BertPreTokenizer())
    yield "words of at most 9", word_piece(
        lines, size, norm.Sequence([norm.NFKC(), norm.Lowercase()]), pre.Whitespace(), max_input_chars_per_word=9)
    yield "punctuation", word_piece(
        lines, size, norm.Sequence([norm.NFKD(), norm.StripAccents(), norm.Nmt()]),
        pre.Sequence([pre.WhitespaceSplit(), pre.Punctuation("contiguous")]))
    made, replacing = sentence_piece(lines, vocab_size=size, normalization_rule_name="nmt_nfkc")
    made.normalizer, made.pre_tokenizer = replacing, pre.Sequence([pre.WhitespaceSplit(), pre.Metaspace()])
    made.add_special_tokens([AddedToken("<mask>", lstrip=True)])
    yield "xlm-roberta", made
    made.normalizer = norm.Sequence([replacing, norm.Strip(left=False), norm.Replace(Regex(" {2,}"), "▁")])
    made.pre_tokenizer = pre.Metaspace(prepend_scheme="first")
    yield "t5", made
    made, replacing = sentence_piece(lines, vocab_size=size, normalization_rule_name="nmt_nfkc", byte_fallback=True)
    made.normalizer, made.pre_tokenizer = replacing, pre.Metaspace()
    yield "unigram with bytes", made
    made, replacing = sentence_piece(lines, vocab_size=size, normalization_rule_name="nmt_nfkc_cf")
    made.normalizer = norm.Sequence([norm.Replace("``", '"'), norm.Replace("''", '"'), norm.NFKD(),
                                     norm.StripAccents(), norm.Lowercase(), replacing])
    made.pre_tokenizer = pre.Sequence([pre.WhitespaceSplit(), pre.Metaspace()])
    yield "albert", made
    made = Tokenizer(models.WordLevel(unk_token="<unk>"))
    made.pre_tokenizer = pre.Whitespace()
    made.train_from_iterator(lines, trainers.WordLevelTrainer(vocab_size=size, special_tokens=["<unk>"],
                                                              show_progress=False))
    yield "word level", made
