"""The vectors of version 2: identity, keys and epochs, features, hidden names."""

from cases import BLIND, case, damaged, later, refused, repacked, sound
from forge import document, slot_of

for encrypted in (False, True):
    kind = "encrypted" if encrypted else "plain"

    @sound("-", kind + "-2", "a sound level of version 2, " + kind, encrypted=encrypted, version=2)
    def _(level):
        pass

    @sound(
        "-",
        "upgraded-" + kind,
        "a level of version 1 in a store of version 2, " + kind,
        encrypted=encrypted,
    )
    def _(level):
        upgrade(level)

    @sound(
        "-",
        "leans-on-version-1-" + kind,
        "a level of version 2 on one of version 1, " + kind,
        encrypted=encrypted,
        lost=["b", "d", "d/c"],
        also={"new": b"a later file\n"},
    )
    def _(level):
        upgrade(level)
        return later(level, version=2)

    @case(
        "-",
        "copy-of-the-identity-" + kind,
        "freezer.json is missing, its copy is there",
        encrypted=encrypted,
        version=2,
        read="sound",
        check=BLIND,
    )
    def _(level):
        level.finish()
        del level.objects["freezer.json"]

    @case(
        "-",
        "damaged-identity-" + kind,
        "freezer.json is damaged, its copy is not",
        encrypted=encrypted,
        version=2,
        read="sound",
        check=BLIND,
    )
    def _(level):
        level.finish()
        level.objects["freezer.json"] = b"{\n"

    @refused(
        "S4",
        "tag-of-the-identity-" + kind,
        "created was changed in both copies",
        encrypted=encrypted,
        version=2,
    )
    def _(level):
        level.vouch()
        level.identity["created"] = "2025-11-22T22:34:50Z"

    @refused(
        "S5",
        "store-with-an-unknown-feature-" + kind,
        "the store requires what nobody knows",
        encrypted=encrypted,
        version=2,
    )
    def _(level):
        level.identity["requires"] = level.identity["requires"] + ["unheard-of"]

    @sound(
        "-",
        "store-that-allows-" + kind,
        "the store may be read without knowing a feature",
        encrypted=encrypted,
        version=2,
    )
    def _(level):
        level.identity["allows"] = ["unheard-of"]

    @refused(
        "M9",
        "level-with-an-unknown-feature-" + kind,
        "the level requires what nobody knows",
        encrypted=encrypted,
        version=2,
    )
    def _(level):
        level.describe()
        level.manifest["requires"] = ["unheard-of"]

    @sound(
        "-",
        "level-that-allows-" + kind,
        "the level may be read without knowing a feature",
        encrypted=encrypted,
        version=2,
    )
    def _(level):
        level.describe()
        level.manifest["allows"] = ["unheard-of"]


def upgrade(level):
    """Makes the store of a level of version 1 one of version 2."""
    features = {"requires": [], "allows": [], "epoch": 1 if level.encrypted else 0}
    level.identity.update(version=2, **features)
    if level.encrypted:
        level.objects["keys/5fdc4675.json"] = document(slot_of(1))


@sound(
    "-",
    "rotated",
    "the stream is of epoch 1, all else of epoch 2",
    encrypted=True,
    version=2,
    epochs=2,
)
def _(level):
    for frame in level.frames:
        frame.flag = 1


@damaged(
    "F8",
    "unknown-epoch",
    "a frame has an epoch that no key opens",
    ["b"],
    encrypted=True,
    version=2,
)
def _(level):
    level.frames[2].flag = 9


@damaged(
    "F8", "no-epoch", "a frame of an encrypted store has no epoch", ["b"], encrypted=True, version=2
)
def _(level):
    level.frames[2].flag = 0


@damaged(
    "F8",
    "another-epoch",
    "a frame names another epoch than that of its key",
    ["b"],
    encrypted=True,
    version=2,
    epochs=2,
)
def _(level):
    level.lay_out()
    name = level.name("segments")
    data = bytearray(level.objects[name])
    data[level.rows[2]["offset"] + 7] = 1
    level.objects[name] = bytes(data)


@damaged(
    "F1",
    "frame-of-version-1-with-an-epoch",
    "a frame of version 1 has an epoch",
    ["b"],
    encrypted=True,
    version=2,
)
def _(level):
    level.frames[2].magic, level.frames[2].flag = b"FzF1", 1


@refused(
    "S6", "identity-of-version-1", "the identity is older than the key document", encrypted=True
)
def _(level):
    level.objects["keys/5fdc4675.json"] = document(slot_of(1))


@refused(
    "K4",
    "key-with-another-epoch",
    "the key document wraps fewer keys than its epoch says",
    encrypted=True,
    version=2,
)
def _(level):
    level.objects["keys/5fdc4675.json"] = document(slot_of(1, epoch=2))


@refused(
    "K3",
    "key-of-version-2-as-1",
    "a key document of version 2 says that it is of version 1",
    encrypted=True,
    version=2,
)
def _(level):
    level.objects["keys/5fdc4675.json"] = document(slot_of(1, version=1))


@refused("S5", "plain-store-that-hides-names", "names are hidden without a key", version=2)
def _(level):
    level.identity["requires"] = ["hidden-names"]


@refused("M9", "level-of-another-backup", "the level leans on one of another backup", version=2)
def _(level):
    level.describe()
    level.manifest["requires"] = ["foreign-levels"]
    level.manifest["levels"][0]["of"] = {"host": "other", "name": "backup"}


@sound(
    "-", "repacked-2", "a repacked level of version 2", version=2, also={"new": b"a later file\n"}
)
def _(level):
    return repacked(level)
