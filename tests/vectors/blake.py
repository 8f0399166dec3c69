"""BLAKE3 of at most 1024 bytes, which is one chunk: from the paper, section 2.2 to 2.6."""

import struct

IV = (
    0x6A09E667,
    0xBB67AE85,
    0x3C6EF372,
    0xA54FF53A,
    0x510E527F,
    0x9B05688C,
    0x1F83D9AB,
    0x5BE0CD19,
)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, ROOT, KEYED = 1, 2, 8, 16
MASK = 0xFFFFFFFF


def mix(state, a, b, c, d, x, y):
    for add, first, second in ((x, 16, 12), (y, 8, 7)):
        state[a] = (state[a] + state[b] + add) & MASK
        state[d] = turn(state[d] ^ state[a], first)
        state[c] = (state[c] + state[d]) & MASK
        state[b] = turn(state[b] ^ state[c], second)


def turn(word, bits):
    return (word >> bits | word << (32 - bits)) & MASK


def compress(chain, block, length, flags):
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    state = list(chain) + list(IV[:4]) + [0, 0, length, flags]
    for _ in range(7):
        for at in range(4):
            mix(state, at, at + 4, at + 8, at + 12, words[2 * at], words[2 * at + 1])
        for at in range(4):
            b, c, d = (at + 1) % 4 + 4, (at + 2) % 4 + 8, (at + 3) % 4 + 12
            mix(state, at, b, c, d, words[8 + 2 * at], words[9 + 2 * at])
        words = [words[at] for at in ORDER]
    return [state[at] ^ state[at + 8] for at in range(8)]


def blake3(data, key=None):
    """The first 32 bytes of the hash; keyed if there is a key of 32 bytes."""
    assert len(data) <= 1024
    chain, flags = (struct.unpack("<8I", key), KEYED) if key else (IV, 0)
    blocks = [data[at : at + 64] for at in range(0, len(data), 64)] or [b""]
    for number, block in enumerate(blocks):
        here = flags | (0 if number else CHUNK_START)
        if number + 1 == len(blocks):
            here |= CHUNK_END | ROOT
        chain = compress(chain, block, len(block), here)
    return struct.pack("<8I", *chain)
