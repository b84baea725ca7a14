#pragma once

#include <array>
#include <string_view>

namespace amalgam {

/// The opcodes (Lib/pickletools.py of Python) that archives of tensors use.
enum PickleOpcode : unsigned char {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinFloat = 'G',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kList = 'l',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyList = ']',
  kEmptyTuple = ')',
  kProto = 0x80,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

/// An opcode that is known, and refused.
struct RefusedOpcode {
  unsigned char code;
  std::string_view name;
};
/// Those whose names tell the reader of a message something.
constexpr std::array kRefusedOpcodes = {
    RefusedOpcode{'i', "INST (makes an object)"},
    RefusedOpcode{'o', "OBJ (makes an object)"},
    RefusedOpcode{0x81, "NEWOBJ (makes an object)"},
    RefusedOpcode{0x92, "NEWOBJ_EX (makes an object)"},
    RefusedOpcode{'P', "PERSID (a persistent id in text)"},
    RefusedOpcode{0x82, "EXT1 (a registered extension)"},
    RefusedOpcode{0x83, "EXT2 (a registered extension)"},
    RefusedOpcode{0x84, "EXT4 (a registered extension)"},
    RefusedOpcode{0x8f, "EMPTY_SET (a set)"},
    RefusedOpcode{0x91, "FROZENSET (a set)"},
    RefusedOpcode{0x96, "BYTEARRAY8 (a bytearray)"},
    RefusedOpcode{0x97, "NEXT_BUFFER (out-of-band data)"},
};

}  // namespace amalgam
