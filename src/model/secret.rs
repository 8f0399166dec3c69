//! Values that must not be seen.

use std::fmt;
use zeroize::Zeroize;

/// A passphrase or key: shown by nothing, wiped from memory when dropped.
///
/// Not `Clone`, not `Display`, not `Serialize`: whoever needs the bytes says so with
/// [`expose`](Self::expose).
pub struct Secret<T: Zeroize>(T);

/// What a person types or keeps in a file to open an encrypted store.
pub type Passphrase = Secret<Vec<u8>>;

impl<T: Zeroize> Secret<T> {
    /// Takes a value over. Copies made before are the caller's to wipe.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value. Keep the borrow short, and copy nothing out of it.
    pub fn expose(&self) -> &T {
        &self.0
    }

    /// The value, to be filled in place. What makes it move in memory leaves a copy behind.
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
