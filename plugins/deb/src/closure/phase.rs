//! Phased updates: whether a machine takes an update that is not out for all yet, decided as apt does (`apt-pkg/policy.cc`, `ExcludePhased`).
//!
//! The draw is that of C++'s `seed_seq`, `minstd_rand` and libstdc++'s `uniform_int_distribution(0, 100)` over
//! `<source>-<source version>-<machine id>`.

use crate::policy::Phased;

/// Whether an update out for `percentage` of all machines is taken.
pub(super) fn includes(
    policy: &Phased,
    source: &str,
    source_version: &str,
    percentage: u8,
) -> bool {
    match policy {
        _ if percentage >= 100 => true,
        Phased::Always => true,
        Phased::Never => false,
        Phased::Seeded(machine) => {
            draw(&format!("{source}-{source_version}-{machine}")) <= u32::from(percentage)
        }
    }
}

/// A number from 0 to 100.
fn draw(seed: &str) -> u32 {
    const MODULUS: u64 = 2_147_483_647;
    const SIDES: u64 = 101;
    let mut state = u64::from(seed_word(seed.as_bytes())) % MODULUS;
    if state == 0 {
        state = 1;
    }
    let scaling = (MODULUS - 2) / SIDES;
    loop {
        state = state * 48_271 % MODULUS;
        let value = state - 1;
        if value < SIDES * scaling {
            return (value / scaling) as u32;
        }
    }
}

/// The fourth word of what `seed_seq::generate` makes of bytes, which is all that a `minstd_rand` takes (C++ [rand.util.seedseq]).
fn seed_word(seed: &[u8]) -> u32 {
    const WORDS: usize = 4;
    let mut words = [0x8b8b_8b8bu32; WORDS];
    let length = seed.len();
    // For four words: t = (n - 1) / 2 = 1, p = (n - t) / 2 = 1, q = p + t = 2.
    let (p, q) = (1, 2);
    let mix = |x: u32| x ^ (x >> 27);
    let rounds = (length + 1).max(WORDS);
    for k in 0..rounds {
        let mixed = mix(words[k % WORDS] ^ words[(k + p) % WORDS] ^ words[(k + WORDS - 1) % WORDS]);
        let first = mixed.wrapping_mul(1_664_525);
        let second = first.wrapping_add(match k {
            0 => length as u32,
            // chars are signed where apt runs on amd64.
            _ if k <= length => ((k % WORDS) as u32).wrapping_add(seed[k - 1] as i8 as u32),
            _ => (k % WORDS) as u32,
        });
        words[(k + p) % WORDS] = words[(k + p) % WORDS].wrapping_add(first);
        words[(k + q) % WORDS] = words[(k + q) % WORDS].wrapping_add(second);
        words[k % WORDS] = second;
    }
    for k in rounds..rounds + WORDS {
        let sum = words[k % WORDS]
            .wrapping_add(words[(k + p) % WORDS])
            .wrapping_add(words[(k + WORDS - 1) % WORDS]);
        let third = mix(sum).wrapping_mul(1_566_083_941);
        let fourth = third.wrapping_sub((k % WORDS) as u32);
        words[(k + p) % WORDS] ^= third;
        words[(k + q) % WORDS] ^= fourth;
        words[k % WORDS] = fourth;
    }
    words[3]
}
