//! One bit at a time, in every file that trust rests on: each flip is refused by its name, or means nothing at all.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use super::{Archive, Repo, STEP, Said, archive};

/// A repository and a plan that is asked for again and again.
struct Subject<'a> {
    archive: &'a Archive,
    repo: Repo,
    profile: String,
    /// What the plan says when nothing is wrong.
    good: Value,
}

// === impl Subject ===

impl<'a> Subject<'a> {
    fn new(archive: &'a Archive, name: &str, inline: bool) -> Result<Self> {
        let mut repo = archive.with_hello(name)?;
        repo.suite.inline = inline;
        archive.publish(&repo)?;
        let with = json!({"packages": ["hello"], "sources": [archive.files(&repo)?]});
        let profile = match archive.profile(&[("base", with)])? {
            Ok(name) => name,
            Err(said) => panic!("{}", said.body),
        };
        Ok(Self {
            archive,
            repo,
            profile,
            good: Value::Null,
        })
    }

    fn plan(&self) -> Result<Said> {
        let draft = self.archive.draft(&self.profile);
        Said::of(&self.archive.host, "POST", "/v1/plans", &draft)
    }

    /// What the steps are pinned to, and everything that the guest gets.
    fn meaning(&self) -> Result<Value> {
        let mut plan = self.plan()?.good().body;
        let step = plan["points"][0]["steps"][0].take();
        Ok(json!([
            step["pins"],
            step["paths"],
            step["actions"],
            step["notes"]
        ]))
    }

    /// The code of the refusal when `file` is like this; none when the plan is what it was before.
    fn with(&self, file: &Path, bytes: &[u8]) -> Result<Option<String>> {
        let before = fs::read(file)?;
        fs::write(file, bytes)?;
        let plan = self.plan()?;
        let code = match plan.status {
            200 => {
                assert_eq!(
                    self.meaning()?,
                    self.good,
                    "{}",
                    String::from_utf8_lossy(bytes)
                );
                None
            }
            422 => Some(plan.code().to_owned()),
            _ => panic!("{}", plan.text()),
        };
        fs::write(file, before)?;
        Ok(code)
    }

    /// Each of these bytes with a bit flipped. Where it passes, and how often each refusal came.
    fn flip(
        &self,
        file: &Path,
        places: impl IntoIterator<Item = usize>,
    ) -> Result<Vec<(usize, Option<String>)>> {
        let whole = fs::read(file)?;
        let mut found = Vec::new();
        for at in places {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            found.push((at, self.with(file, &bytes)?));
        }
        Ok(found)
    }
}

/// First, middle and last byte of each line, and its line feed; every eighth byte of long lines without a space.
fn places(text: &str) -> Vec<usize> {
    let mut found = Vec::new();
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let end = start + line.len() - 1;
        if line.len() > 50 && !line.contains(' ') {
            found.extend((start..end).step_by(8));
        }
        found.extend([
            start,
            (start + end) / 2,
            end.saturating_sub(1).max(start),
            end,
        ]);
        start = end + 1;
    }
    found.sort_unstable();
    found.dedup();
    found
}

fn is_trust(code: &str) -> bool {
    code.starts_with("signature-")
}

#[test]
fn a_flipped_bit_in_a_signed_release_is_refused_or_means_nothing() -> Result<()> {
    let archive = archive()?;
    let mut subject = Subject::new(&archive, "mutated", true)?;
    subject.good = subject.meaning()?;
    let file = subject
        .repo
        .suite
        .directory(&subject.repo.root)
        .join("InRelease");
    let text = fs::read_to_string(&file)?;
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("no {part}"));
    let body = place("Origin: ")..place("-----BEGIN PGP SIGNATURE");
    let hash = place("Hash: ")..place("\n\nOrigin");
    let checksum = place("\n=") + 1..place("\n-----END");
    let armour = body.end..checksum.start;
    let mut passed = 0;
    for (at, code) in subject.flip(&file, places(&text))? {
        let shown = &text[at.saturating_sub(10)..(at + 10).min(text.len())];
        match code.as_deref() {
            Some(code) => assert!(is_trust(code), "{at} {shown:?}: {code}"),
            None if armour.contains(&at) => passed += 1,
            None => assert!(
                hash.contains(&at) || checksum.contains(&at),
                "{at} {shown:?} passes"
            ),
        }
        if body.contains(&at) {
            // White space at the end of a line is not signed: a line feed that becomes a vertical tab joins two lines.
            assert!(
                matches!(
                    code.as_deref(),
                    Some("signature-bad" | "signature-malformed")
                ),
                "{at} {shown:?}: {code:?}"
            );
        }
    }
    // A signature has ten bytes that it does not cover: the short id of its key, for readers of old.
    assert!(passed <= 3, "{passed} flips in the signature pass");
    for (what, bytes, expected) in [
        (
            "a line behind it",
            format!("{text}Origin: Evil\n"),
            Some("signature-unsigned-bytes"),
        ),
        (
            "a second message",
            format!("{text}{text}"),
            Some("signature-unsigned-bytes"),
        ),
        (
            "a line before it",
            format!("Origin: Evil\n{text}"),
            Some("signature-unsigned-bytes"),
        ),
        (
            "an empty line before it",
            format!("\n{text}"),
            Some("signature-unsigned-bytes"),
        ),
        (
            "a header that is not `Hash`",
            text.replacen("Hash: ", "Comment: ", 1),
            Some("signature-unsigned-bytes"),
        ),
        (
            "another digest's name",
            text.replacen("Hash: SHA512", "Hash: SHA256", 1),
            None,
        ),
        ("white space behind it", format!("{text}\n \n"), None),
        (
            "line endings of another system",
            text.replace('\n', "\r\n"),
            None,
        ),
        (
            "no signature",
            text[..body.end].to_owned(),
            Some("signature-malformed"),
        ),
        (
            "half a signature",
            text[..checksum.start - 20].to_owned(),
            Some("signature-malformed"),
        ),
        ("nothing", String::new(), Some("signature-missing")),
    ] {
        let code = subject.with(&file, bytes.as_bytes())?;
        assert_eq!(code.as_deref(), expected, "{what}");
    }
    Ok(())
}

#[test]
fn a_flipped_bit_in_a_release_or_the_signature_beside_it_is_refused_or_means_nothing() -> Result<()>
{
    let archive = archive()?;
    let mut subject = Subject::new(&archive, "mutated-beside", false)?;
    subject.good = subject.meaning()?;
    let release = subject
        .repo
        .suite
        .directory(&subject.repo.root)
        .join("Release");
    let text = fs::read_to_string(&release)?;
    for (at, code) in subject.flip(&release, (0..text.len()).step_by(37))? {
        assert_eq!(code.as_deref(), Some("signature-bad"), "{at}");
    }
    let signature = release.with_file_name("Release.gpg");
    let text = fs::read_to_string(&signature)?;
    let armour = text.find("\n\n").unwrap_or(0) + 2..text.find("\n=").unwrap_or(0);
    let checksum = armour.end + 2..text.find("\n-----END").unwrap_or(0);
    let mut passed = 0;
    for (at, code) in subject.flip(&signature, places(&text))? {
        let shown = &text[at.saturating_sub(10)..(at + 10).min(text.len())];
        match code.as_deref() {
            Some(code) => assert!(is_trust(code), "{at} {shown:?}: {code}"),
            None if armour.contains(&at) => passed += 1,
            None => assert!(checksum.contains(&at), "{at} {shown:?} passes"),
        }
    }
    // As in a signature inside.
    assert!(passed <= 3, "{passed} flips in the signature pass");
    Ok(())
}

#[test]
fn a_flipped_bit_in_an_index_or_a_package_file_is_refused() -> Result<()> {
    let archive = archive()?;
    // Nothing of it was ever fetched whole: what a host has by its digest it does not fetch again.
    let subject = Subject::new(&archive, "mutated-files", true)?;
    let root = &subject.repo.root;
    let index = root.join("dists/stable/main/binary-amd64/Packages.gz");
    let size = fs::read(&index)?.len();
    let refused = |file: &Path, places: Vec<usize>| -> Result<()> {
        for (at, code) in subject.flip(file, places)? {
            assert_eq!(
                code.as_deref(),
                Some("integrity"),
                "{}, byte {at}",
                file.display()
            );
        }
        let whole = fs::read(file)?;
        for changed in [
            &whole[..whole.len() - 1],
            &[&whole[..], b"\n"].concat(),
            &[],
        ] {
            let code = subject.with(file, changed)?;
            assert!(
                matches!(code.as_deref(), Some("integrity" | "quota-exceeded")),
                "{code:?}, {} bytes of {}",
                changed.len(),
                whole.len()
            );
        }
        Ok(())
    };
    // Magic, method, flags, time, system; the stream; checksum and length.
    let header = [0, 2, 3, 4, 8, 9];
    let body = (10..size - 8).step_by(size / 8);
    refused(
        &index,
        header
            .into_iter()
            .chain(body)
            .chain(size - 8..size)
            .collect(),
    )?;

    let deb = root.join("pool/main/libhello_2.0-1_amd64.deb");
    let size = fs::read(&deb)?.len();
    // The archive's magic, the first member's header and text; then all others.
    let header = [0, 7, 8, 24, 56, 66, 68, 72];
    let body = (73..size).step_by(size / 12);
    refused(
        &deb,
        header.into_iter().chain(body).chain([size - 1]).collect(),
    )?;
    subject.plan()?.good();
    Ok(())
}

#[test]
fn an_index_that_is_not_what_it_unpacks_to_is_refused() -> Result<()> {
    let archive = archive()?;
    let repo = archive.with_hello("unpacked")?;
    let release = repo.suite.directory(&repo.root).join("InRelease");
    let text = fs::read_to_string(&release)?;
    let from = text.find("Origin").unwrap_or(0);
    let to = text.find("-----BEGIN PGP SIGNATURE").unwrap_or(0);
    let plain = text[from..to]
        .lines()
        .find(|line| line.ends_with("/Packages"))
        .unwrap_or_default();
    let digest = plain.split_whitespace().next().unwrap_or_default();
    let changed = text[from..to].replacen(digest, &"0".repeat(64), 1);
    repo.suite.sign(&repo.root, &archive.key, &changed)?;
    let with = json!({"packages": ["hello"], "sources": [archive.http(&repo)?]});
    let said = archive.refused(&with, "integrity", STEP)?;
    assert!(said.contains("without compression"), "{said}");
    Ok(())
}
