//! What is installed and untouched is left out of the search: no answer suffers from it.

use std::collections::BTreeMap;

use super::*;
use crate::relation;
use proptest::prelude::*;

#[test]
fn an_upgrade_takes_along_what_depends_on_the_old_version() {
    let world = world(
        "a 1; Depends: lib (>= 2)\nlib 2\ntool 2; Depends: lib (= 2)\nfar 2; Depends: tool (= 2)",
        "lib 1\ntool 1; Depends: lib (= 1)\nfar 1; Depends: tool (= 1)\nother 1; Depends: lib",
    );
    assert_eq!(world.adds("a"), "a=1 far=2 lib=2 tool=2");
    let world = super::world(
        "a 1; Depends: lib (>= 2)\nlib 2",
        "lib 1\ntool 1; Depends: lib (= 1)",
    );
    let refusal = world.refusal("a");
    assert!(refusal.contains("tool 1 of the image"), "{refusal}");
}

#[test]
fn what_an_installed_package_provided_is_missed_when_its_upgrade_does_not() {
    let world = world(
        "a 1; Depends: lib (>= 2)\nlib 2\nnew 1; Provides: abi",
        "lib 1; Provides: abi\ntool 1; Depends: abi",
    );
    assert_eq!(world.adds("a"), "a=1 lib=2 new=1");
}

#[test]
fn conflicts_of_installed_packages_count_by_name_and_by_what_is_provided() {
    for name in ["x", "virt"] {
        let available = "x 1; Provides: virt";
        let base = format!("old 1; Breaks: {name}");
        assert!(world(available, &base).refusal("x").contains("Breaks"));
        let upgraded = format!("{available}\nold 2");
        assert_eq!(world(&upgraded, &base).adds("x"), "old=2 x=1");
    }
}

#[test]
fn what_the_image_lacks_already_comes_along() {
    let world = world("a 1\nlib 1", "tool 1; Depends: lib\nodd 1; Depends: gone");
    assert_eq!(world.adds("a"), "a=1 lib=1");
}

#[test]
fn an_upgrade_takes_along_itself_in_other_architectures() {
    let mut world = world(
        "a 1; Depends: lib (>= 2)\nlib 2; Multi-Arch: same\nlib 2; Architecture: i386; Multi-Arch: same",
        "lib 1; Multi-Arch: same\nlib 1; Architecture: i386; Multi-Arch: same
         old 1; Architecture: i386; Depends: lib",
    );
    world.architectures.push("i386".into());
    assert_eq!(world.adds("a"), "a=1 lib:i386=2 lib=2");
    let line = "Status: install ok installed\nArchitecture: i386";
    world.status = world
        .status
        .replace(line, &line.replace("install ok", "hold ok"));
    assert!(world.refusal("a").contains("on hold"));
}

/// Packages of a random world: dependencies and conflicts among few names, two suites, a base of the older one.
fn packages() -> impl Strategy<Value = Vec<(u8, [String; 2])>> {
    let atom = prop_oneof![
        (0..8u8).prop_map(|name| format!("p{name}")),
        (0..8u8).prop_map(|name| format!("p{name} (>= 2)")),
        (0..8u8).prop_map(|name| format!("p{name} (<< 2)")),
        (0..2u8).prop_map(|name| format!("v{name}")),
    ];
    let group = prop::collection::vec(atom.clone(), 1..3).prop_map(|atoms| atoms.join(" | "));
    let depends = prop::collection::vec(group, 0..3).prop_map(|groups| groups.join(", "));
    let breaks = prop::option::weighted(0.2, atom);
    let provides = prop::option::weighted(0.2, 0..2u8);
    let fields = (depends, breaks, provides).prop_map(|(depends, breaks, provides)| {
        let mut text = String::new();
        if !depends.is_empty() {
            text += &format!("; Depends: {depends}");
        }
        if let Some(breaks) = breaks {
            text += &format!("; Breaks: {breaks}");
        }
        if let Some(number) = provides {
            text += &format!("; Provides: v{number}");
        }
        text
    });
    prop::collection::vec((0..2u8, [fields.clone(), fields]), 8)
}

/// A package of a set, name to version and fields, that lacks something or rules out another.
fn misfit(set: &BTreeMap<String, (String, String)>) -> Option<String> {
    let field = |text: &str, name: &str| -> String {
        let found = text
            .split("; ")
            .find_map(|field| field.strip_prefix(&format!("{name}: ")));
        found.unwrap_or_default().to_owned()
    };
    let has = |atom: &relation::Atom<'_>, but: &str| {
        set.iter().any(|(name, (version, text))| {
            name != but
                && (name == atom.name && atom.admits(version)
                    || field(text, "Provides") == atom.name && atom.constraint.is_none())
        })
    };
    let fits = |name: &str, text: &str| {
        let depends = field(text, "Depends");
        let breaks = field(text, "Breaks");
        let met = |group: &Vec<relation::Atom<'_>>| group.iter().any(|atom| has(atom, ""));
        let broken = |group: &Vec<relation::Atom<'_>>| group.iter().any(|atom| has(atom, name));
        relation::parse(&depends).unwrap().iter().all(met)
            && !relation::parse(&breaks).unwrap().iter().any(broken)
    };
    let found = set.iter().find(|(name, (_, text))| !fits(name, text));
    found.map(|(name, _)| name.clone())
}

proptest! {
    #[test]
    fn every_plan_on_a_whole_base_leaves_a_whole_image(packages in packages(), wish in 0..8usize) {
        let mut available = String::new();
        let mut base: BTreeMap<String, (String, String)> = BTreeMap::new();
        for (number, (kind, fields)) in packages.iter().enumerate() {
            available += &format!("p{number} 1{}\np{number} 2{}\n", fields[0], fields[1]);
            if *kind == 0 {
                base.insert(format!("p{number}"), ("1".into(), fields[0].clone()));
            }
        }
        while let Some(name) = misfit(&base) {
            base.remove(&name);
        }
        let lines: Vec<String> =
            base.iter().map(|(name, (version, fields))| format!("{name} {version}{fields}")).collect();
        let world = world(&available, &lines.join("\n"));
        if let Ok(plan) = world.plan(&format!("p{wish}")) {
            let mut image = base;
            for package in &plan.packages {
                let number: usize = package.name[1..].parse().unwrap();
                let fields = &packages[number].1[usize::from(package.version == "2")];
                image.insert(package.name.clone(), (package.version.clone(), fields.clone()));
            }
            let asked = format!("p{wish}");
            prop_assert!(image.contains_key(&asked));
            prop_assert_eq!(misfit(&image), None, "{:?} with {}", lines, world.adds(&asked));
        }
    }
}
