//! From sources to verified indexes: Release files fetched, their signatures and dates judged, which indexes they vouch for; and the indexes themselves, by digest.

use bootsplice_sdk::blobs::Blob;
use bootsplice_sdk::fetch::{self, Request, Response};
use bootsplice_sdk::prelude::*;
use bootsplice_sdk::trust::{Host, Judged, Keyring, Notary as _};
use bootsplice_sdk::types::Mismatch;

use crate::config::Config;
use crate::image::Image;
use crate::release::{self, Release};
use crate::repository::{Index, Refusal, Suite};
use crate::sources::{SignedBy, Source};
use crate::state::Repository;

/// Largest signature file.
const MAX_SIGNATURE: u64 = 256 << 10;
/// Largest index, packed and as text. Debian's `main` has 12 MB and 50 MB.
const MAX_PACKED: u64 = 256 << 20;
const MAX_TEXT: u64 = 1 << 30;

/// One index that a suite vouches for.
pub struct Listed {
    pub component: String,
    /// Which of [`Archive::suites`] it belongs to.
    pub suite: usize,
    index: Index,
    urls: Vec<String>,
}

/// An index as verified text.
pub struct Text {
    pub blob: Blob,
    /// The same text is the same index wherever it comes from.
    pub digest: String,
}

/// A suite that is in use.
pub struct Used {
    pub release: Release,
    pub record: Repository,
    /// What Filename is relative to, one a mirror.
    pub roots: Vec<String>,
}

/// All suites and their indexes.
#[derive(Default)]
pub struct Archive {
    pub suites: Vec<Used>,
    pub indexes: Vec<Listed>,
}

/// A Release as it came: the signed text, and what is beside it when it is not in the same file.
struct Signed {
    content: Blob,
    detached: Option<Blob>,
}

/// What every suite is judged with.
pub struct Circumstances<'a> {
    pub config: &'a Config,
    pub image: &'a Image,
    pub architectures: &'a [String],
    /// Seconds since 1970.
    pub now: u64,
    /// What the last lock saw.
    pub last: &'a [Repository],
}

/// Fetches and judges the Release of every suite that `sources` name.
pub fn acquire(sources: &[Source], around: &Circumstances<'_>) -> Result<Archive, Error> {
    let mut suites = Vec::new();
    for source in sources {
        for name in &source.suites {
            suites.push(located(source, name, around)?);
        }
    }
    let signed = releases(&suites, around.config)?;
    let mut archive = Archive::default();
    for (suite, signed) in suites.iter().zip(signed) {
        let (release, signed_by) = judged(suite, &signed, around)?;
        let place = archive.suites.len();
        let own = suite.source.architectures.as_deref();
        for architecture in own.unwrap_or(around.architectures) {
            if !around.architectures.contains(architecture) {
                continue;
            }
            let indexes = suite
                .indexes(&release, architecture)
                .map_err(Refusal::into_error)?;
            for index in indexes {
                let urls = suite.index_urls(&release, &index);
                let component = component(&index.path).to_owned();
                // `all` beside two architectures is one index.
                let known = |other: &Listed| other.index.packed == index.packed;
                if !archive.indexes.iter().any(known) {
                    archive.indexes.push(Listed {
                        component,
                        suite: place,
                        index,
                        urls,
                    });
                }
            }
        }
        archive.suites.push(Used {
            record: record(suite, &release, signed_by),
            release,
            roots: suite.roots.clone(),
        });
    }
    Ok(archive)
}

/// A suite where its files lie: at its mirrors, or as it was at the time that was asked for. A time that cannot be had is an error, never passed over.
fn located<'a>(
    source: &'a Source,
    name: &'a str,
    around: &'a Circumstances<'_>,
) -> Result<Suite<'a>, Error> {
    let config = around.config;
    let Some(time) = config.snapshot.as_deref().or(source.snapshot.as_deref()) else {
        return Ok(Suite::new(source, name, None));
    };
    let given = source.uris.iter().find_map(|uri| {
        let bare = uri.trim_end_matches('/');
        let same = |known: &&String| known.trim_end_matches('/') == bare;
        let address = config.snapshot_servers.keys().find(same)?;
        config.snapshot_servers.get(address).cloned()
    });
    let template = match given {
        Some(template) => template,
        None => {
            let present = Suite::new(source, name, None);
            let signed = releases(std::slice::from_ref(&present), config)?;
            let (release, _) = match signed.first() {
                Some(signed) => judged(&present, signed, around)?,
                None => return Err(Error::Fault("no answer for one request".into())),
            };
            release.snapshots.ok_or_else(|| {
                let refusal = Refusal {
                    code: "no-snapshots",
                    what: format!(
                        "{} was asked for as of {time}, and its Release names no server of snapshots",
                        present.title()
                    ),
                    hint: "name one in `snapshot_servers`, by the address of the repository",
                };
                refusal.into_error()
            })?
        }
    };
    Ok(Suite::new(source, name, Some((time, &template))))
}

/// `InRelease` of every suite, or `Release` with `Release.gpg` where there is none.
fn releases(suites: &[Suite<'_>], config: &Config) -> Result<Vec<Signed>, Error> {
    let requests: Vec<Request> = suites
        .iter()
        .map(|suite| {
            let path = suite.source.inrelease_path.as_deref();
            metadata(
                suite.urls(path.unwrap_or("InRelease")),
                release::MAX_SIZE as u64,
                config,
            )
        })
        .collect();
    let answers = fetch::get_all(&requests);
    let mut found = Vec::new();
    for (suite, answer) in suites.iter().zip(answers) {
        found.push(match answer {
            Ok(Response { content, .. }) => Signed {
                content,
                detached: None,
            },
            Err(Error::NotFound(_)) if suite.source.inrelease_path.is_none() => {
                detached(suite, config)?
            }
            Err(error) => return Err(named(error, suite)),
        });
    }
    Ok(found)
}

fn detached(suite: &Suite<'_>, config: &Config) -> Result<Signed, Error> {
    let requests = [
        metadata(suite.urls("Release"), release::MAX_SIZE as u64, config),
        metadata(suite.urls("Release.gpg"), MAX_SIGNATURE, config),
    ];
    let mut answers = fetch::get_all(&requests).into_iter();
    let mut next = |what: &str| match answers.next() {
        Some(Ok(response)) => Ok(response.content),
        Some(Err(Error::NotFound(_))) => {
            let refusal = Refusal {
                code: "no-release",
                what: format!("{} has neither InRelease nor {what}", suite.title()),
                hint: "check address and name of the suite; unsigned repositories are not used",
            };
            Err(refusal.into_error())
        }
        Some(Err(error)) => Err(named(error, suite)),
        None => Err(Error::Fault("fewer answers than requests".into())),
    };
    let content = next("Release")?;
    let detached = next("Release.gpg")?;
    Ok(Signed {
        content,
        detached: Some(detached),
    })
}

/// The Release, once signature, dates and names are right.
fn judged(
    suite: &Suite<'_>,
    signed: &Signed,
    around: &Circumstances<'_>,
) -> Result<(Release, Vec<String>), Error> {
    let keyrings = keyrings(suite, around.image)?;
    let Judged {
        content,
        signatures,
    } = Host
        .verify(&signed.content, signed.detached.as_ref(), &keyrings)
        .map_err(|error| distrusted(error, suite))?;
    let damaged = |what: String| {
        let refusal = Refusal {
            code: "release-damaged",
            what: format!("the Release of {}: {what}", suite.title()),
            hint: "use another mirror",
        };
        refusal.into_error()
    };
    let text = String::from_utf8(content.bytes(release::MAX_SIZE)?)
        .map_err(|_| damaged("it is not UTF-8".into()))?;
    let release = Release::parse(&text).map_err(damaged)?;
    let title = suite.title();
    let last = around
        .last
        .iter()
        .find(|known| known.name == suite.name && suite.roots.contains(&known.uri));
    suite
        .judge(
            &release,
            around.now,
            last,
            around.config.accept_release_changes,
        )
        .map_err(Refusal::into_error)?;
    let seen = Host
        .seen(&shortened(&title), release.date)
        .map_err(|error| distrusted(error, suite))?;
    if let Some(seen) = seen.filter(|seen| *seen > release.date) {
        let refusal = Refusal {
            code: "release-replayed",
            what: format!(
                "the Release of {title} is {} s older than one that was seen before: its mirror is out of date, or somebody replays an old one",
                seen - release.date
            ),
            hint: "use another mirror",
        };
        return Err(refusal.into_error());
    }
    let signed_by = signatures
        .into_iter()
        .map(|signature| signature.fingerprint);
    Ok((release, signed_by.collect()))
}

/// Who may sign a suite.
fn keyrings(suite: &Suite<'_>, image: &Image) -> Result<Vec<Keyring>, Error> {
    let mut rings = Vec::new();
    let mut rules = Vec::new();
    for key in &suite.source.signed_by {
        match key {
            SignedBy::Inline(text) => rings.push(Keyring::of(text.clone())),
            SignedBy::Path(path) => {
                let ring = image.keyring(path)?.ok_or_else(|| {
                    let refusal = Refusal {
                        code: "no-keyring",
                        what: format!("{}: the image has no `{path}`", suite.source.at),
                        hint: "put the key itself into Signed-By, or the file into the image",
                    };
                    refusal.into_error()
                })?;
                rings.push(Keyring::of(ring));
            }
            SignedBy::Fingerprint { hex, exact } => {
                rules.push(if *exact {
                    format!("{hex}!")
                } else {
                    hex.clone()
                });
            }
        }
    }
    if suite.source.signed_by.is_empty() || !rules.is_empty() {
        for trusted in image.trusted_keys()? {
            let mut ring = Keyring::of(trusted);
            for rule in &rules {
                ring = ring.allow(rule)?;
            }
            rings.push(ring);
        }
    }
    Ok(rings)
}

/// Indexes as verified text, all fetched at once.
pub fn texts(wanted: &[&Listed], config: &Config) -> Result<Vec<Text>, Error> {
    let requests: Vec<Request> = wanted
        .iter()
        .map(|Listed { index, urls, .. }| Request {
            credential: urls
                .first()
                .and_then(|url| config.credential(url))
                .map(str::to_owned),
            urls: urls.clone(),
            digest: Some(index.packed.digest.clone()),
            size: Some(index.packed.size),
            max_size: index.packed.size.min(MAX_PACKED),
            max_age: None,
        })
        .collect();
    let answers = fetch::get_all(&requests);
    let mut found = Vec::new();
    for (Listed { index, urls, .. }, answer) in wanted.iter().zip(answers) {
        let packed = answer?.content;
        let limit = index
            .plain
            .as_ref()
            .map_or(MAX_TEXT, |plain| plain.size.min(MAX_TEXT));
        let text = match index.codec {
            Some(codec) => packed.decompress(codec, limit)?,
            None => packed,
        };
        let digest = text.digest();
        if let Some(plain) = &index.plain
            && (plain.digest != digest || plain.size != text.size())
        {
            let url = urls.first().cloned().unwrap_or_default();
            return Err(Error::Integrity(Mismatch {
                expected: plain.digest.clone(),
                actual: digest,
                url: format!("{url} ({} without compression)", index.path),
            }));
        }
        found.push(Text { blob: text, digest });
    }
    Ok(found)
}

// === impl Listed ===

impl Listed {
    /// Digest of its text, when the Release tells that too.
    pub fn digest(&self) -> Option<&str> {
        let plain = match self.index.codec {
            Some(_) => self.index.plain.as_ref()?,
            None => &self.index.packed,
        };
        Some(&plain.digest)
    }
}

fn metadata(urls: Vec<String>, max_size: u64, config: &Config) -> Request {
    Request {
        credential: urls
            .first()
            .and_then(|url| config.credential(url))
            .map(str::to_owned),
        urls,
        digest: None,
        size: None,
        max_size,
        max_age: None,
    }
}

fn record(suite: &Suite<'_>, release: &Release, signed_by: Vec<String>) -> Repository {
    Repository {
        uri: suite.roots.first().cloned().unwrap_or_default(),
        name: suite.name.to_owned(),
        origin: release.origin.clone(),
        label: release.label.clone(),
        suite: release.suite.clone(),
        codename: release.codename.clone(),
        date: release.date,
        signed_by,
    }
}

/// `main` of `main/binary-amd64/Packages`; empty for a flat repository.
fn component(path: &str) -> &str {
    path.rsplit_once("/binary-")
        .map_or("", |(component, _)| component)
}

/// A key of the replay guard has 256 bytes at most.
fn shortened(title: &str) -> String {
    let mut end = title.len().min(256);
    while !title.is_char_boundary(end) {
        end -= 1;
    }
    title[..end].to_owned()
}

fn named(error: Error, suite: &Suite<'_>) -> Error {
    match error {
        Error::NotFound(what) => {
            let refusal = Refusal {
                code: "no-release",
                what: format!("{}: {what}", suite.title()),
                hint: "check address and name of the suite",
            };
            refusal.into_error()
        }
        other => other,
    }
}

fn distrusted(error: Error, suite: &Suite<'_>) -> Error {
    match error {
        Error::Untrusted(mut rejection) => {
            rejection.message = format!("the Release of {}: {}", suite.title(), rejection.message);
            Error::Untrusted(rejection)
        }
        other => other,
    }
}
