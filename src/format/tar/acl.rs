//! POSIX ACLs: converts the kernel's binary form to the text form of tar archives.

use super::push_decimal;

/// The only version of the binary form.
const VERSION: u32 = 2;

/// Appends the text form of a `system.posix_acl_*` value, such as
/// `user::rw-,user:1000:r--,group::r--`. Users and groups stay numbers. Returns `None`, and appends
/// nothing, if the value is not such a list.
///
/// The binary form is a version (u32) and entries of tag (u16), permissions (u16) and id (u32), all
/// little endian: `linux/posix_acl_xattr.h`.
pub(super) fn push_text(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    let done = push_entries(value, out);
    if done.is_none() {
        out.truncate(start);
    }
    done
}

fn push_entries(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (version, mut rest) = value.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*version) != VERSION || rest.is_empty() {
        return None;
    }
    let mut separator: &[u8] = b"";
    while !rest.is_empty() {
        let ([tag0, tag1, permissions0, permissions1, id @ ..], others) =
            rest.split_first_chunk::<8>()?;
        rest = others;
        let (name, is_named): (&[u8], _) = match u16::from_le_bytes([*tag0, *tag1]) {
            0x01 => (b"user", false),
            0x02 => (b"user", true),
            0x04 => (b"group", false),
            0x08 => (b"group", true),
            0x10 => (b"mask", false),
            0x20 => (b"other", false),
            _ => return None,
        };
        let permissions = u16::from_le_bytes([*permissions0, *permissions1]);
        if permissions > 7 {
            return None;
        }
        out.extend_from_slice(separator);
        separator = b",";
        out.extend_from_slice(name);
        out.push(b':');
        if is_named {
            push_decimal(out, u64::from(u32::from_le_bytes(*id)));
        }
        out.push(b':');
        out.extend(
            [(4, b'r'), (2, b'w'), (1, b'x')]
                .map(|(bit, letter)| if permissions & bit != 0 { letter } else { b'-' }),
        );
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::push_text;

    const NONE: u32 = u32::MAX;

    fn binary(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut value = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            value.extend_from_slice(&tag.to_le_bytes());
            value.extend_from_slice(&permissions.to_le_bytes());
            value.extend_from_slice(&id.to_le_bytes());
        }
        value
    }

    #[test]
    fn every_kind_of_entry_has_its_text() {
        let value = binary(&[
            (1, 6, NONE),
            (2, 7, 1000),
            (2, 0, 4_000_000_000),
            (4, 4, NONE),
            (8, 5, 27),
            (0x10, 7, NONE),
            (0x20, 1, NONE),
        ]);
        let mut text = Vec::new();
        assert_eq!(push_text(&value, &mut text), Some(()));
        let expected = "user::rw-,user:1000:rwx,user:4000000000:---,\
                        group::r--,group:27:r-x,mask::rwx,other::--x";
        assert_eq!(String::from_utf8(text).expect("text"), expected);
    }

    #[test]
    fn other_bytes_than_an_acl_are_left_alone() {
        let good = binary(&[(1, 6, NONE)]);
        let mut bad = vec![
            Vec::new(),
            binary(&[]),
            binary(&[(3, 6, NONE)]),
            binary(&[(1, 8, NONE)]),
            good[..good.len() - 1].to_vec(),
        ];
        bad.push([&3u32.to_le_bytes(), &good[4..]].concat());
        for value in bad {
            let mut text = b"kept".to_vec();
            assert_eq!(push_text(&value, &mut text), None, "{value:?}");
            assert_eq!(text, b"kept");
        }
    }
}
