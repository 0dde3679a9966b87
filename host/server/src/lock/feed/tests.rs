use std::fs;

use serde_json::{Value, json};

use super::super::document::tests::{lock, package};
use super::*;

fn read(value: &Value) -> Result<Feed, FeedError> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("feed.json");
    fs::write(&file, value.to_string()).unwrap();
    Feed::read(&file, "bookworm")
}

fn told(feed: &Feed, versions: &[(&str, &str)]) -> Vec<String> {
    let packages = versions
        .iter()
        .map(|(name, version)| package(name, version, "requested"));
    feed.findings(&lock(packages.collect()))
        .iter()
        .map(|one| {
            let fixed = one.fixed.as_deref().unwrap_or("never");
            format!(
                "{} {} {} {fixed}",
                one.id,
                one.severity.word(),
                one.source.name
            )
        })
        .collect()
}

#[test]
fn osv_ranges_are_half_open_in_dpkgs_order_and_of_one_release() {
    let entry = json!({
        "id": "CVE-1",
        "severity": [{"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}],
        "affected": [
            {"package": {"ecosystem": "Debian:12", "name": "src-nginx"},
             "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "1.22.1-9+deb12u2"}]}]},
            {"package": {"ecosystem": "Debian:11", "name": "src-nginx"},
             "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]},
            {"package": {"ecosystem": "PyPI", "name": "src-nginx"}, "versions": ["1.22.1-9+deb12u2"]},
        ],
    });
    let feed = read(&entry).unwrap();
    assert_eq!(
        told(&feed, &[("nginx", "1.22.1-9+deb12u1")]),
        ["CVE-1 critical src-nginx 1.22.1-9+deb12u2"]
    );
    assert_eq!(
        told(&feed, &[("nginx", "1.22.1-9+deb12u2~rc1")]).len(),
        1,
        "what has a tilde comes before"
    );
    assert!(told(&feed, &[("nginx", "1.22.1-9+deb12u2")]).is_empty());
    assert!(told(&feed, &[("nginx", "1:0.1-1")]).is_empty());
    assert!(told(&feed, &[("other", "1")]).is_empty());
}

#[test]
fn osv_lists_last_affected_and_withdrawn_entries_are_understood() {
    let debian = json!({"ecosystem": "Debian", "name": "src-a"});
    let feed = read(&json!([
        {"id": "LISTED", "affected": [{"package": debian, "versions": ["2-1"]}]},
        {"id": "LAST", "database_specific": {"severity": "MODERATE"},
         "affected": [{"package": debian, "ranges": [{"events": [{"introduced": "1"}, {"last_affected": "3-1"}]}]}]},
        {"id": "GONE", "withdrawn": "2024-01-01T00:00:00Z", "affected": [{"package": debian, "versions": ["2-1"]}]},
    ]))
    .unwrap();
    let names = |version| -> Vec<String> {
        let found = told(&feed, &[("a", version)]);
        found
            .iter()
            .map(|one| one.split(' ').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(names("2-1"), ["LAST", "LISTED"]);
    assert_eq!(names("3-1"), ["LAST"]);
    assert!(names("3-2").is_empty());
    assert!(names("0.9").is_empty());
}

#[test]
fn the_trackers_states_are_understood() {
    let state = |status: &str, fixed: &str, urgency: &str| json!({"releases": {"bookworm": {"status": status, "fixed_version": fixed, "urgency": urgency}}});
    let feed = read(&json!({
        "src-a": {
            "CVE-1": state("resolved", "2-1", "high"),
            "CVE-2": state("resolved", "0", "high"),
            "CVE-4": state("undetermined", "", "low"),
            "CVE-5": {"releases": {"sid": {"status": "open", "urgency": "high"}}},
        },
        "src-b": {"CVE-3": {"releases": {"bookworm": {"status": "open", "urgency": "low**"}}}},
    }))
    .unwrap();
    assert_eq!(
        told(&feed, &[("a", "1-1"), ("b", "99")]),
        ["CVE-1 high src-a 2-1", "CVE-3 low src-b never"]
    );
    assert_eq!(told(&feed, &[("a", "2-1")]).len(), 0);
    let wrong = read(&json!({"a": {"CVE-1": state("opened", "", "low")}})).unwrap_err();
    assert!(
        wrong
            .to_string()
            .contains("/a/CVE-1/releases/bookworm/status: `opened`")
    );
}

#[test]
fn a_directory_of_osv_files_is_one_feed_and_what_is_no_feed_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    for id in ["CVE-1", "CVE-2"] {
        let entry = json!({"id": id, "affected": [{"package": {"ecosystem": "Debian:12", "name": "src-a"}, "versions": ["1"]}]});
        fs::write(dir.path().join(format!("{id}.json")), entry.to_string()).unwrap();
    }
    let feed = Feed::read(dir.path(), "bookworm").unwrap();
    assert_eq!(told(&feed, &[("a", "1")]).len(), 2);
    assert!(
        read(&json!({"name": "x"}))
            .unwrap_err()
            .to_string()
            .contains("/id")
    );
    let empty = tempfile::tempdir().unwrap();
    assert!(Feed::read(empty.path(), "bookworm").is_err());
}

#[test]
fn thresholds_leave_out_what_is_below_them_and_any_takes_all() {
    assert!(Threshold::Any.fails(Severity::Unknown));
    assert!(!Threshold::Low.fails(Severity::Unknown));
    assert!(!Threshold::Low.fails(Severity::Negligible));
    assert!(Threshold::Medium.fails(Severity::High));
    assert!(!Threshold::Critical.fails(Severity::High));
}
