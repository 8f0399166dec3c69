//! Sparse files: the parts of a file that are stored, and their map (`GNU.sparse`, version 1.0).

use super::{BLOCK, fill_block, push_decimal};
use crate::model::{DataRun, FileOffset};

/// Fills `aligned` with the runs as they are stored. Each is widened to whole blocks of the file
/// (the last may end where the file ends) and joined with neighbours that it then touches. GNU tar
/// begins every run at a block of the archive, and others lay runs end to end: aligned runs read
/// the same in both.
///
/// Returns `None` if the runs are out of order, overlap, or reach past the end of the file.
pub(super) fn align(runs: &[DataRun], size: u64, aligned: &mut Vec<DataRun>) -> Option<()> {
    aligned.clear();
    let mut previous_end = 0;
    for run in runs.iter().filter(|run| run.length > 0) {
        let end = run
            .end()
            .filter(|end| run.at.0 >= previous_end && *end <= size)?;
        previous_end = end;
        let start = run.at.0 - run.at.0 % BLOCK as u64;
        let end = end.checked_next_multiple_of(BLOCK as u64)?.min(size);
        match aligned.last_mut() {
            Some(last) if last.end()? >= start => last.length = end - last.at.0,
            _ => aligned.push(DataRun {
                at: FileOffset(start),
                length: end - start,
            }),
        }
    }
    Some(())
}

/// Returns whether aligned runs leave a hole in a file of `size` bytes.
pub(super) fn has_hole(aligned: &[DataRun], size: u64) -> bool {
    match aligned {
        [] => size > 0,
        [run] => run.length != size,
        _ => true,
    }
}

/// Writes the map that stands before the data of a sparse member, in whole blocks: the number of
/// runs, then offset and length of each run, one number a line. For a hole at the end of the file,
/// the map ends with an empty run.
pub(super) fn write_map(aligned: &[DataRun], size: u64, map: &mut Vec<u8>) {
    let data_end = aligned.last().and_then(DataRun::end).unwrap_or(0);
    let last = (data_end < size).then_some(DataRun {
        at: FileOffset(size),
        length: 0,
    });
    map.clear();
    push_line(map, (aligned.len() + usize::from(last.is_some())) as u64);
    for run in aligned.iter().chain(&last) {
        push_line(map, run.at.0);
        push_line(map, run.length);
    }
    fill_block(map, 0);
}

fn push_line(map: &mut Vec<u8>, number: u64) {
    push_decimal(map, number);
    map.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::{align, has_hole, write_map};
    use crate::model::{DataRun, FileOffset};

    fn runs(list: &[(u64, u64)]) -> Vec<DataRun> {
        list.iter()
            .map(|(at, length)| DataRun {
                at: FileOffset(*at),
                length: *length,
            })
            .collect()
    }

    fn aligned(list: &[(u64, u64)], size: u64) -> Option<Vec<DataRun>> {
        let mut out = runs(&[(7, 7)]);
        align(&runs(list), size, &mut out).map(|()| out)
    }

    #[test]
    fn runs_are_widened_to_blocks_and_joined() {
        assert_eq!(aligned(&[(0, 1000)], 1000), Some(runs(&[(0, 1000)])));
        assert_eq!(
            aligned(&[(600, 1), (4096, 4)], 8192),
            Some(runs(&[(512, 512), (4096, 512)]))
        );
        assert_eq!(
            aligned(&[(0, 100), (200, 100), (512, 1)], 600),
            Some(runs(&[(0, 600)]))
        );
        assert_eq!(aligned(&[(0, 0), (5, 0)], 10), Some(runs(&[])));
    }

    #[test]
    fn runs_that_cannot_be_are_refused() {
        assert_eq!(aligned(&[(0, 11)], 10), None);
        assert_eq!(aligned(&[(5, 5), (0, 5)], 10), None);
        assert_eq!(aligned(&[(0, 6), (5, 5)], 10), None);
        assert_eq!(aligned(&[(u64::MAX, 2)], u64::MAX), None);
    }

    #[test]
    fn the_map_names_a_hole_at_the_end() {
        let mut map = Vec::new();
        write_map(&runs(&[(4096, 512)]), 10_000, &mut map);
        assert!(map.starts_with(b"2\n4096\n512\n10000\n0\n\0"));
        assert_eq!(map.len(), 512);
        write_map(&[], 5, &mut map);
        assert!(map.starts_with(b"1\n5\n0\n\0"));
        write_map(&runs(&[(512, 88)]), 600, &mut map);
        assert!(map.starts_with(b"1\n512\n88\n\0"));
        assert!(has_hole(&runs(&[(512, 88)]), 600));
        assert!(!has_hole(&[], 0));
    }
}
