//! Stack for Cedar, which recurses through conditions and reports an error when little is left.
//!
//! Such an error would deny a call or not, depending on how deep the caller's own stack happens to be. A decision depends
//! on nothing but the bundle and the question; so conditions have a largest depth ([`DEEPEST`], checked at load), and
//! enough stack for it is made sure of here.

const MIB: usize = 1024 * 1024;

/// Deepest nesting of a condition. A chain of `a && b && c` is as deep as it is long.
pub(crate) const DEEPEST: usize = 100;

/// What the deepest condition needs when it is evaluated; an unoptimised build spends many times more on a level.
const TO_DECIDE: usize = if cfg!(debug_assertions) {
    12 * MIB
} else {
    MIB
};

/// What reading and validating a policy needs that is as nested and as long as `source` lets through.
const TO_LOAD: usize = if cfg!(debug_assertions) {
    96 * MIB
} else {
    16 * MIB
};

/// Runs `work` where it has the stack that the deepest condition needs: on the caller's, if that has enough.
pub(crate) fn to_decide<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(TO_DECIDE, TO_DECIDE.saturating_mul(2), work)
}

/// Runs `work` where it has the stack that loading needs. Only what is touched of it costs memory.
pub(crate) fn to_load<T>(work: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(TO_LOAD, TO_LOAD, work)
}
