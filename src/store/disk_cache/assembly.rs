//! Chunks become the pieces that were asked for.

/// Puts chunks together to the pieces that were asked for, and hands those over.
pub(super) struct Assembly<'call> {
    lengths: std::slice::Iter<'call, usize>,
    take: &'call mut dyn FnMut(Vec<u8>) -> bool,
    /// Whether the caller wants to go on.
    pub(super) are_wanted: bool,
    /// The bytes of the next piece that are there.
    begun: Vec<u8>,
}

impl<'call> Assembly<'call> {
    pub(super) fn new(
        lengths: &'call [usize],
        take: &'call mut dyn FnMut(Vec<u8>) -> bool,
    ) -> Self {
        Self {
            lengths: lengths.iter(),
            take,
            are_wanted: true,
            begun: Vec::new(),
        }
    }

    /// Adds bytes that belong to one piece.
    pub(super) fn push(&mut self, bytes: Vec<u8>) {
        let Some(length) = self.lengths.as_slice().first().filter(|_| self.are_wanted) else {
            return;
        };
        if self.begun.is_empty() {
            self.begun = bytes;
        } else {
            self.begun.extend_from_slice(&bytes);
        }
        if self.begun.len() >= *length {
            self.lengths.next();
            self.are_wanted = (self.take)(std::mem::take(&mut self.begun));
        }
    }
}
