//! Values that must stay hidden.

use std::fmt;
use zeroize::Zeroize;

/// A passphrase or key. Nothing shows it, and dropping it wipes it from memory.
///
/// It is not `Clone`, `Display` or `Serialize`. Callers that need the bytes say so with
/// [`expose`](Self::expose).
pub struct Secret<T: Zeroize>(T);

/// The passphrase of an encrypted store, as a person types it or keeps it in a file.
pub type Passphrase = Secret<Vec<u8>>;

impl<T: Zeroize> Secret<T> {
    /// Takes over a value. The caller has to wipe copies that were made before.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Returns the value. Keep the borrow short, and copy nothing out of it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// Returns the value, to be filled in place. A value that moves in memory leaves a copy behind.
    pub fn expose_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn debug_output_never_holds_the_secret() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?} {:?}", Some(&secret)), "*** Some(***)");
        assert_eq!(secret.expose(), "hunter2");
    }
}
