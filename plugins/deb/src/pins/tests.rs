use super::*;

fn origin(suite: &str, codename: &str) -> Origin {
    Origin {
        suite: suite.into(),
        codename: codename.into(),
        version: "12.5".into(),
        origin: "Debian".into(),
        label: "Debian".into(),
        component: "main".into(),
        site: "deb.debian.org".into(),
        ..Origin::default()
    }
}

fn facts(name: &str) -> Facts<'_> {
    Facts {
        name,
        architecture: "amd64",
        native: true,
        source: "src",
        version: "1.2-3",
        installed: false,
    }
}

fn preferences(text: &str) -> Preferences {
    let mut preferences = Preferences::default();
    preferences.read(text.as_bytes()).unwrap();
    preferences
}

fn priority(text: &str, name: &str) -> i32 {
    preferences(text).priority(&facts(name), [&origin("stable", "bookworm")].into_iter())
}

#[test]
fn releases_have_their_own_priorities() {
    let none = Preferences::default();
    let mut backports = origin("stable-backports", "bookworm-backports");
    backports.not_automatic = true;
    assert_eq!(none.of_origin(&origin("stable", "bookworm"), "amd64"), 500);
    assert_eq!(none.of_origin(&backports, "amd64"), 1);
    backports.but_automatic_upgrades = true;
    assert_eq!(none.of_origin(&backports, "amd64"), 100);
}

#[test]
fn the_first_pin_that_matches_wins() {
    let text = "Package: a b\nPin: version 1.2*\nPin-Priority: 700\n\nPackage: a\nPin: release n=bookworm\nPin-Priority: 900\n";
    assert_eq!(priority(text, "a"), 700);
    assert_eq!(priority(text, "c"), 500);
}

#[test]
fn packages_are_meant_by_glob_expression_or_source() {
    for package in ["x*", "/^xy/", "src:src", "src:s*", "xyz:amd64", "xyz:any"] {
        let text = format!("Package: {package}\nPin: release o=Debian,c=main\nPin-Priority: 42\n");
        assert_eq!(priority(&text, "xyz"), 42, "{package}");
    }
    for package in ["x", "y*", "/^y/", "src:x", "xyz:i386"] {
        let text = format!("Package: {package}\nPin: release o=Debian,c=main\nPin-Priority: 42\n");
        assert_eq!(priority(&text, "xyz"), 500, "{package}");
    }
}

#[test]
fn releases_are_meant_by_each_of_their_facts() {
    for release in [
        "bookworm", "stable", "12*", "12.5", "a=stable", "n=book*", "l=Debian", "v=12.*",
        "b=amd64", "*",
    ] {
        let text = format!("Package: *\nPin: release {release}\nPin-Priority: 42\n");
        assert_eq!(priority(&text, "xyz"), 42, "{release}");
    }
    let site = "Package: *\nPin: origin \"deb.debian.org\"\nPin-Priority: -1\n";
    assert_eq!(priority(site, "xyz"), -1);
}

#[test]
fn the_default_release_goes_before_other_pins_of_releases() {
    let mut preferences = preferences("Package: *\nPin: release n=bookworm\nPin-Priority: 400\n");
    preferences.default_release("bookworm").unwrap();
    assert_eq!(
        preferences.of_origin(&origin("stable", "bookworm"), "amd64"),
        990
    );
}

#[test]
fn what_is_no_preference_is_refused_by_its_value() {
    for (field, value) in [
        ("Pin", "release"),
        ("Pin", "size 3"),
        ("Pin-Priority", "high"),
        ("Pin-Priority", "0"),
        ("Package", "/(/"),
    ] {
        let mut text = "Package: a\nPin: release n=b\nPin-Priority: 3\n".to_owned();
        let line = text
            .lines()
            .find(|line| line.starts_with(&format!("{field}:")))
            .unwrap()
            .to_owned();
        text = text.replace(&line, &format!("{field}: {value}"));
        let error = Preferences::default()
            .read(text.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(value), "{error}");
    }
}
