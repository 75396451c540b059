//! A value that must not be seen: wiped when dropped, silent in `Debug`.

use std::fmt;

use zeroize::Zeroize;

/// A value that must not be seen.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes it in.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Shows it to who must have it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
