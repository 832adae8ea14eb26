//! Stack for Cedar, which recurses through conditions and reports an error when little is left.
//!
//! Such an error would deny a call or not, depending on how deep the caller's own stack happens to be. A decision depends
//! on nothing but the bundle and the question; so conditions have a largest depth ([`DEEPEST`], checked at load), and
//! enough stack for it is made sure of here.

/// Deepest nesting of a condition. A chain of `a && b && c` is as deep as it is long.
pub(crate) const DEEPEST: usize = 100;

/// What the deepest condition needs; an unoptimised build spends many times more on a level.
const NEEDED: usize = if cfg!(debug_assertions) {
    12 * 1024 * 1024
} else {
    1024 * 1024
};

/// Runs `work` where it has the stack that the deepest condition needs: on the caller's, if that has enough.
pub(crate) fn enough<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(NEEDED, NEEDED.saturating_mul(2), work)
}
