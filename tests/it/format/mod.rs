//! The example bytes in docs/format.md are what the program reads and writes.

pub(crate) mod mutated;

use freezer::format::frame::{
    Compression, Decoder, Encoder, FrameKeys, Lane, Opener, Protection, Sealer,
};
use freezer::format::identity::Identity;
use freezer::format::keys::KeySlot;
use freezer::format::signature::{SignatureKey, SignatureWriter};
use freezer::model::{FrameNo, KeyEpoch, LevelId, StoreId, StreamOffset};
use std::sync::Arc;

const DOCUMENT: &str = include_str!("../../../docs/format.md");
const TEXT: &[u8] = b"to be or not to be";

/// Returns the indented block after the line `Example: <title>`.
fn example(title: &str) -> String {
    let start = DOCUMENT
        .find(&format!("Example: {title}"))
        .expect("the document has the example");
    let block = DOCUMENT[start..]
        .lines()
        .skip_while(|line| !line.starts_with("    "));
    block
        .take_while(|line| line.starts_with("    "))
        .map(str::trim)
        .collect::<Vec<_>>()
        .join("\n")
}

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn store() -> StoreId {
    "000102030405060708090a0b0c0d0e0f"
        .parse()
        .expect("a store id")
}

fn level() -> LevelId {
    "20261122T223450.123Z-1a2b3c4d".parse().expect("a level id")
}

#[test]
fn the_sealed_frame_without_encryption_is_the_documented_one() {
    let sealer = Sealer::new(store(), level(), Protection::Checksum);
    let mut encoder = Encoder::new(Compression::None, 0).expect("an encoder");
    let sealed = sealer
        .seal(&mut encoder, Lane::Index, FrameNo(5), TEXT)
        .expect("sealed");
    assert_eq!(hex(&example("a sealed frame without encryption")), sealed);
}

#[test]
fn the_documented_key_opens_the_documented_frame() {
    let slot = KeySlot::decode(example("a key document").as_bytes()).expect("a key document");
    let master = slot
        .open(store(), b"correct horse")
        .expect("intact")
        .expect("the passphrase");
    let keys: FrameKeys = master.frame_keys(store());
    assert_eq!(keys.newest(), KeyEpoch(2));
    let opener = Opener::new(store(), level(), Protection::Encrypted(Arc::new(keys)));
    let frame = hex(&example("an encrypted frame"));
    assert_eq!(
        opener
            .open(&mut Decoder::new(), Lane::Data, FrameNo(7), frame)
            .expect("opened"),
        TEXT
    );
}

#[test]
fn the_documented_key_vouches_for_the_documented_identity() {
    let slot = KeySlot::decode(example("a key document").as_bytes()).expect("a key document");
    let opened = slot.open(store(), b"correct horse").expect("intact");
    let master = opened.expect("the passphrase");
    let (_, section) = DOCUMENT
        .split_once("## 2. Store: `freezer.json`")
        .expect("the document has the section");
    let identity: String = section
        .lines()
        .skip_while(|line| !line.starts_with("    "))
        .take_while(|line| line.starts_with("    "))
        .collect();
    let identity = Identity::decode(identity.as_bytes()).expect("an identity");
    assert!(identity.hides_names() && identity.is_genuine(Some(&master)));
}

#[test]
fn a_signature_is_written_as_documented() {
    let document = include_str!("../../../docs/format/signature.md");
    let (_, block) = document
        .split_once("```hex signature\n")
        .expect("the document has the example");
    let (block, _) = block.split_once("```").expect("the block ends");
    let documented = hex(&block
        .lines()
        .flat_map(|line| line.split('#').next())
        .collect::<Vec<_>>()
        .join(" "));
    let mut writer = SignatureWriter::new(
        4,
        SignatureKey(std::array::from_fn(|at| u8::try_from(at).expect("small"))),
    );
    writer.begin_run(StreamOffset(1536));
    writer.update(b"abcdef");
    let shown = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(shown(&documented), shown(&writer.finish()));
}

#[test]
fn live_ranges_are_written_as_documented() {
    use freezer::format::live;
    let ranges = freezer::model::Ranges::new(vec![4096..20_480, 544_768..675_840]);
    let documented = hex(&example(
        "two ranges, bytes 4096 to 20,480 and 544,768 to 675,840",
    ));
    assert_eq!(documented, live::encode(&ranges));
    assert_eq!(live::decode(&documented).expect("sound"), ranges);
}
