//! A base volume of any size whose second partition holds raw data in a repeating pattern.
//!
//! Its first partition is a small [`Base`], for that is what an import looks at. Where the pattern has nothing the image
//! file has holes.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::base::{Base, quiet};

const MIB: u64 = 1 << 20;
const BLOCK: usize = 512 << 10;
/// The small first partition, with the table's room.
const HEAD_MIB: u64 = 48;

/// Each `period` MiB of the data partition begins with `noise` MiB that do not compress, then `text` MiB that do; the
/// rest is zero. No two blocks are the same.
#[derive(Clone, Copy, Debug)]
pub struct Wide<'a> {
    pub mebibytes: u64,
    pub period: u64,
    pub noise: u64,
    pub text: u64,
    /// PEM of the key to trust.
    pub key: &'a str,
}

// === impl Wide ===

impl Wide<'_> {
    /// Writes the disk to `image`; `tree` is filled with the root's files on the way.
    pub fn write(&self, image: &Path, tree: &Path) -> Result<()> {
        ensure!(
            self.mebibytes > HEAD_MIB + self.period && self.noise + self.text <= self.period,
            "{self:?} has no room for its pattern"
        );
        let base = Base {
            mebibytes: HEAD_MIB,
            noise: 1 << 20,
            agent: true,
            key: Some(self.key),
        };
        base.write(image, tree)?;
        let file = OpenOptions::new().write(true).open(image)?;
        file.set_len(self.mebibytes * MIB)?;
        quiet(
            Command::new("sgdisk")
                .args([
                    "--move-second-header",
                    "--new=2:0:0",
                    "--change-name=2:data",
                ])
                .arg(image),
        )?;
        self.fill(&file)
    }

    fn fill(&self, file: &File) -> Result<()> {
        let text = text();
        let mut block = vec![0; BLOCK];
        // The last MiB is the second header's.
        let mut at = HEAD_MIB;
        while at + self.period < self.mebibytes {
            for within in 0..self.noise + self.text {
                for half in 0..2 {
                    let place = (at + within) * MIB + half * BLOCK as u64;
                    if within < self.noise {
                        noise(place, &mut block);
                    } else {
                        block.copy_from_slice(&text);
                        block[..8].copy_from_slice(&place.to_le_bytes());
                    }
                    file.write_all_at(&block, place)?;
                }
            }
            at += self.period;
        }
        Ok(())
    }
}

/// One block of lines as a log has them.
fn text() -> Vec<u8> {
    let mut text = String::new();
    let mut number = 0_u64;
    while text.len() < BLOCK {
        number += 1;
        let spread = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        text.push_str(&format!(
            "2026-01-01T00:00:{:02}Z unit-{}.service[{spread}]: request {number} answered in {} ms\n",
            number % 60,
            spread % 97,
            spread % 1013,
        ));
    }
    text.truncate(BLOCK);
    text.into_bytes()
}

/// Bytes that do not compress, other ones for each seed (xorshift).
fn noise(seed: u64, bytes: &mut [u8]) {
    let mut state = seed ^ 0x9e37_79b9_7f4a_7c15;
    for eight in bytes.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        eight.copy_from_slice(&state.to_le_bytes());
    }
}
