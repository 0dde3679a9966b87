//! Each rule of Debian's packages in the smallest world that shows it.

use super::*;

fn extra(control: &str) -> Extra {
    Extra {
        id: "vendor.deb".into(),
        control: control.into(),
        size: 7,
        sha256: [7; 32],
    }
}

#[test]
fn what_is_installed_is_not_fetched_and_wins_over_the_order_of_alternatives() {
    let world = world(
        "a 1; Depends: first | second, lib\nfirst 1\nsecond 1\nlib 1",
        "second 1\nlib 1",
    );
    assert_eq!(world.adds("a"), "a=1");
}

#[test]
fn a_base_is_upgraded_only_where_something_needs_it() {
    let world = world("a 1; Depends: lib (>= 2)\nlib 2\nother 2", "lib 1\nother 1");
    assert_eq!(world.adds("a"), "a=1 lib=2");
    let plan = world.plan("a").unwrap();
    assert_eq!(plan.packages[1].reason, Reason::UpgradeFor("a".into()));
    assert_eq!(plan.packages[1].replaces.as_deref(), Some("1"));
    let world = world.policy(|policy| policy.base = Base::Upgrade);
    assert_eq!(world.adds("a"), "a=1 lib=2 other=2");
    let world = world.policy(|policy| policy.base = Base::Frozen);
    let refusal = world.refusal("a");
    assert!(refusal.contains("lib (>= 2)"), "{refusal}");
    assert!(refusal.contains("lib 1 of the image"), "{refusal}");
    assert!(refusal.contains("base: minimal"), "{refusal}");
}

#[test]
fn installed_packages_of_one_source_move_along_together() {
    let world = world(
        "tool 2; Source: s; Depends: lib (= 2)\nlib 2; Source: s\nmore 2; Source: s\nother 2",
        "lib 1; Source: s\nmore 1; Source: s\nother 1",
    );
    assert_eq!(world.adds("tool"), "lib=2 more=2 tool=2");
    let more = world
        .plan("tool")
        .unwrap()
        .packages
        .into_iter()
        .find(|package| package.name == "more");
    assert!(matches!(more.unwrap().reason, Reason::SameSourceAs(_)));
    let world = world.policy(|policy| policy.upgrade_by_source = false);
    assert_eq!(world.adds("tool"), "lib=2 tool=2");
}

#[test]
fn nothing_is_removed_unless_it_is_allowed() {
    let world = world("a 1; Conflicts: old", "old 1\nvital 1; Essential: yes");
    let refusal = world.refusal("a");
    assert!(refusal.contains("old 1 of the image"), "{refusal}");
    assert!(refusal.contains("allow-removals"), "{refusal}");
    let world = world.policy(|policy| policy.allow_removals = true);
    assert_eq!(world.adds("a"), "-old a=1");
    assert_eq!(world.adds("a old-"), "-old a=1");
    assert!(world.refusal("vital-").contains("essential"));
}

#[test]
fn a_held_package_stays_and_the_hold_is_named() {
    let mut world = world("a 1; Depends: lib (>= 2)\nlib 2", "lib 1");
    world.status = world.status.replace("install ok", "hold ok");
    assert!(world.refusal("a").contains("on hold"));
}

#[test]
fn a_package_is_not_in_conflict_with_itself() {
    let world = world(
        "mta 1; Provides: mail; Conflicts: mail\nother 1; Provides: mail; Conflicts: mail",
        "",
    );
    assert_eq!(world.adds("mta"), "mta=1");
    assert!(world.refusal("mta other").contains("Conflicts: mail"));
}

#[test]
fn a_versioned_conflict_ignores_what_is_provided_without_a_version() {
    let world = world(
        "a 1; Breaks: x (<< 9)\nb 1; Provides: x\nc 1; Provides: x (= 1)",
        "",
    );
    assert_eq!(world.adds("a b"), "a=1 b=1");
    assert!(world.refusal("a c").contains("Breaks: x (<< 9)"));
}

#[test]
fn a_conflict_with_another_architecture_is_none() {
    let world = world(
        "a 1; Depends: c; Conflicts: b:x32\nb 1\nc 1; Depends: b",
        "",
    );
    assert_eq!(world.adds("a"), "a=1 b=1 c=1");
}

#[test]
fn an_impossible_alternative_is_passed_over_for_the_next() {
    let world = world("a 1; Depends: x | y\nx 1; Depends: gone\ny 1", "");
    assert_eq!(world.adds("a"), "a=1 y=1");
    let refusal = world.refusal("x");
    assert!(refusal.contains("gone"), "{refusal}");
}

#[test]
fn requests_choose_versions_suites_and_globs() {
    let world = world("db 15.1\ndb-lib 15.1", "").suite(
        "bookworm-backports",
        "db 16.2; Depends: db-lib (>= 16)\ndb-lib 16.2",
    );
    assert_eq!(world.adds("db"), "db=15.1");
    assert_eq!(world.adds("db=15*"), "db=15.1");
    assert_eq!(world.adds("db/bookworm-backports"), "db-lib=16.2 db=16.2");
    let missing = world.refusal("db=14*");
    assert!(
        missing.contains("15.1 (bookworm)") && missing.contains("16.2 (bookworm-backports)"),
        "{missing}"
    );
}

#[test]
fn an_unknown_package_is_refused_with_near_names_and_a_virtual_one_with_its_providers() {
    let world = world(
        "nginx 1; Provides: httpd\nnginx-light 1; Provides: httpd\npython3 1",
        "",
    );
    assert!(world.refusal("ngnix").contains("nginx"));
    assert!(!world.refusal("ngnix").contains("python3"));
    assert!(world.refusal("httpd").contains("nginx, nginx-light"));
}

#[test]
fn pins_decide_the_candidate() {
    let mut world = world("a 1", "").suite("bookworm-backports", "a 2");
    assert_eq!(world.adds("a"), "a=1");
    world.preferences = "Package: a\nPin: release n=bookworm-backports\nPin-Priority: 900\n".into();
    assert_eq!(world.adds("a"), "a=2");
    world.preferences = "Package: a\nPin: version *\nPin-Priority: -1\n".into();
    assert!(world.refusal("a").contains("pinned away"));
}

#[test]
fn only_a_priority_of_1000_goes_back_to_an_older_version() {
    let mut world = world("a 1", "a 2");
    world.preferences = "Package: a\nPin: release n=bookworm\nPin-Priority: 999\n".into();
    assert_eq!(world.adds("a"), "");
    world.preferences = "Package: a\nPin: release n=bookworm\nPin-Priority: 1001\n".into();
    assert_eq!(world.adds("a"), "a=1");
}

#[test]
fn architectures_live_together_only_as_they_say() {
    let mut world = world(
        "lib 1; Multi-Arch: same\nlib 1; Architecture: i386; Multi-Arch: same
         tool 1; Multi-Arch: foreign\nplain 1\nplain 1; Architecture: i386
         wine 1; Architecture: i386; Depends: lib, tool, perl:any\nperl 1; Multi-Arch: allowed
         skew 2; Multi-Arch: same\nskew 1; Architecture: i386; Multi-Arch: same",
        "",
    );
    world.architectures.push("i386".into());
    assert_eq!(world.adds("wine"), "lib:i386=1 perl=1 tool=1 wine:i386=1");
    assert_eq!(world.adds("lib lib:i386"), "lib:i386=1 lib=1");
    assert!(world.plan("plain plain:i386").is_err());
    assert!(world.plan("skew skew:i386").is_err());
    assert!(world.refusal("lib:armhf").contains("amd64, i386"));
}

#[test]
fn a_package_by_its_own_file_joins_the_solve() {
    let mut world = world("lib 2", "");
    world.extras.push(extra(
        "Package: vendor\nVersion: 9\nArchitecture: amd64\nDepends: lib (>= 2)\n",
    ));
    assert_eq!(world.adds(""), "lib=2 vendor=9");
    let plan = world.plan("").unwrap();
    assert_eq!(plan.packages[0].from, From::Extra("vendor.deb".into()));
    assert_eq!(
        plan.packages[0].reason,
        Reason::Requested("vendor.deb".into())
    );
    world.extras[0].control = world.extras[0].control.replace("amd64", "armhf");
    assert!(world.refusal("").contains("armhf"));
}

#[test]
fn a_lock_keeps_its_versions_where_they_will_do() {
    let mut world = world("a 1; Depends: lib\nlib 1", "").suite("bookworm-security", "lib 2");
    assert_eq!(world.adds("a"), "a=1 lib=2");
    world
        .locked
        .push(("lib".into(), "amd64".into(), "1".into()));
    assert_eq!(world.adds("a"), "a=1 lib=1");
}

#[test]
fn phased_updates_are_taken_by_policy() {
    let world = world("a 2; Phased-Update-Percentage: 10", "a 1");
    assert_eq!(world.adds("a"), "a=2");
    let world = world.policy(|policy| policy.phased = crate::policy::Phased::Never);
    assert_eq!(world.adds("a"), "");
}

#[test]
fn the_plan_leads_back_to_archive_and_source() {
    let world = world("a 1+b1; Source: src (1)", "");
    let plan = world.plan("a").unwrap();
    let a = &plan.packages[0];
    assert_eq!(
        (a.source.as_str(), a.source_version.as_str(), a.size),
        ("src", "1", 10)
    );
    assert!(
        matches!(&a.from, From::Archive { origin, filename } if origin.id == "bookworm" && filename == "pool/a_1+b1.deb")
    );
    assert_eq!(a.reason, Reason::Requested("a".into()));
    let without = World {
        suites: vec![("bookworm", world.suites[0].1.replace("SHA256", "SHA1"))],
        ..world
    };
    assert!(without.refusal("a").contains("SHA256"));
}

#[test]
fn a_stopped_request_says_so() {
    let bytes = world("a 1", "").index();
    let stopped = resolve(&Input {
        architectures: &["amd64".to_owned()],
        indexes: &[Index::open(bytes.as_slice()).unwrap()],
        status: &Status::default(),
        preferences: &Preferences::default(),
        requests: &[Request::parse("a").unwrap()],
        extras: &[],
        locked: &[],
        policy: &Policy::default(),
        stop: Some(&|| true),
    });
    assert!(matches!(stopped, Err(Error::Stopped)));
}

#[test]
fn the_same_texts_give_the_same_bytes_however_they_are_cut() {
    let world = world("a 1; Depends: b | c (>= 2)\nb 1; Provides: x\nc 3", "");
    let whole = world.index();
    let mut pieces = Vec::new();
    let mut builder = Builder::new(|piece: &[u8]| {
        pieces.extend_from_slice(piece);
        Ok(())
    });
    builder
        .begin(Origin {
            id: "bookworm".into(),
            suite: "bookworm".into(),
            codename: "bookworm".into(),
            ..Origin::default()
        })
        .unwrap();
    for byte in world.suites[0].1.as_bytes() {
        builder.feed(&[*byte]).unwrap();
    }
    builder.finish().unwrap();
    assert_eq!(whole, pieces);
}

#[test]
fn hostile_bytes_of_an_index_give_errors_never_panics() {
    let world = world(
        "a 1; Depends: b | c (>= 2)\nb 1; Provides: x\nc 3; Conflicts: d",
        "e 1; Depends: x",
    );
    let whole = world.index();
    let status = Status::parse(world.status.as_bytes()).unwrap();
    for at in 0..whole.len() {
        for value in [0, 0xff, whole[at] ^ 1, whole[at] ^ 0x80] {
            let mut bytes = whole.clone();
            bytes[at] = value;
            let Ok(index) = Index::open(bytes.as_slice()) else {
                continue;
            };
            let requests = [Request::parse("a").unwrap(), Request::parse("zz").unwrap()];
            for requests in [&requests[..1], &requests[1..]] {
                let _ = resolve(&Input {
                    architectures: &["amd64".to_owned()],
                    indexes: std::slice::from_ref(&index),
                    status: &status,
                    preferences: &Preferences::default(),
                    requests,
                    extras: &[],
                    locked: &[],
                    policy: &world.policy,
                    stop: None,
                });
            }
        }
        assert!(Index::open(&whole[..at]).is_err());
    }
}
