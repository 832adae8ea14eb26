//! RSA moduli of the generator that CVE-2017-15361 (ROCA) broke.

/// The primes of the published fingerprint.
const PRIMES: [u64; 17] = [
    11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157,
];

/// Whether the big-endian modulus looks like one of that generator's: modulo every prime of the fingerprint it is a power
/// of 65537. A modulus of another generator does so with a probability below 2^-27.
pub(super) fn is_suspect(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let residue = remainder(modulus, *prime);
        let generator = 65_537u64.checked_rem(*prime).unwrap_or(0);
        let mut power = 1;
        (0..*prime).any(|_| {
            let hit = power == residue;
            power = power
                .wrapping_mul(generator)
                .checked_rem(*prime)
                .unwrap_or(0);
            hit
        })
    })
}

fn remainder(modulus: &[u8], prime: u64) -> u64 {
    modulus.iter().fold(0, |rest: u64, byte| {
        rest.wrapping_mul(256)
            .wrapping_add(u64::from(*byte))
            .checked_rem(prime)
            .unwrap_or(0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_of_the_generator_are_suspect() {
        // 65537^0, 65537^1 and 65537^2 are powers of it modulo anything; 2 and 65539 are not.
        for suspect in [&[1][..], &[1, 0, 1], &[1, 0, 2, 0, 1]] {
            assert!(is_suspect(suspect), "{suspect:?}");
        }
        for other in [&[2][..], &[1, 0, 3]] {
            assert!(!is_suspect(other), "{other:?}");
        }
    }
}
