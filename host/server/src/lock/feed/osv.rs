//! OSV entries (ossf.github.io/osv-schema), of the ecosystem `Debian` and its releases.

use serde_json::Value;

use super::stream::Wrong;
use super::{Advisory, Affected, End, Release, Severity, Span, cvss};

/// Adds what one entry, which stands at `at`, says of the release.
pub fn entry(
    entry: &Value,
    at: &str,
    release: &Release<'_>,
    found: &mut Vec<Advisory>,
) -> Result<(), Wrong> {
    let id = entry.get("id").and_then(Value::as_str).ok_or_else(|| {
        let what = "it has no text: expected the id of an OSV entry, such as `CVE-2024-1`";
        (format!("{at}/id"), what.to_owned())
    })?;
    // Withdrawn entries stay in dumps.
    if entry.get("withdrawn").is_some_and(|when| !when.is_null()) {
        return Ok(());
    }
    for affected in list(entry, "affected") {
        let text = |key: &str| {
            let found = affected.pointer(&format!("/package/{key}"));
            found.and_then(Value::as_str).unwrap_or_default()
        };
        let ecosystem = text("ecosystem");
        let ours = match ecosystem.split_once(':') {
            Some(("Debian", number)) => number == release.number || number == release.codename,
            _ => ecosystem == "Debian",
        };
        if !ours {
            continue;
        }
        found.push(Advisory {
            id: id.to_owned(),
            package: text("name").to_owned(),
            severity: severity(entry, affected),
            affected: versions(affected),
        });
    }
    Ok(())
}

fn versions(affected: &Value) -> Affected {
    let mut spans = Vec::new();
    for range in list(affected, "ranges") {
        if range.get("type").and_then(Value::as_str) == Some("GIT") {
            continue;
        }
        let mut open: Option<String> = None;
        for event in list(range, "events") {
            let said = |key: &str| event.get(key).and_then(Value::as_str).map(str::to_owned);
            let end = if let Some(from) = said("introduced") {
                // Two beginnings without an end between them: the first counts.
                open.get_or_insert(from);
                continue;
            } else if let Some(to) = said("fixed") {
                End::Fixed(to)
            } else if let Some(last) = said("last_affected") {
                End::Last(last)
            } else {
                continue;
            };
            let from = open.take().unwrap_or_else(|| "0".into());
            spans.push(Span { from, end });
        }
        spans.extend(open.map(|from| Span {
            from,
            end: End::Never,
        }));
    }
    let versions = list(affected, "versions").filter_map(Value::as_str);
    Affected {
        versions: versions.map(str::to_owned).collect(),
        spans,
    }
}

/// The worst that anybody says: CVSS of the entry or of the package, the database's own word.
fn severity(entry: &Value, affected: &Value) -> Severity {
    let scores = list(entry, "severity").chain(list(affected, "severity"));
    let scored = scores
        .filter_map(|one| one.get("score").and_then(Value::as_str))
        .filter_map(cvss::severity);
    let words = [
        entry.pointer("/database_specific/severity"),
        entry.pointer("/ecosystem_specific/severity"),
        affected.pointer("/database_specific/severity"),
        affected.pointer("/ecosystem_specific/severity"),
        affected.pointer("/ecosystem_specific/urgency"),
    ];
    let named = words.into_iter().flatten().filter_map(Value::as_str);
    scored
        .chain(named.map(Severity::named))
        .max()
        .unwrap_or(Severity::Unknown)
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value
        .get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
