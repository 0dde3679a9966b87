//! Promises that hold for any file and any change: no panic, a second run changes nothing, lines that were not edited survive in their order.

#![allow(clippy::unwrap_used)]

use bootsplice_edit::{Change, Format, Outcome, Verb, apply};
use proptest::prelude::*;
use serde_json::{Value, json};

fn format() -> impl Strategy<Value = Format> {
    proptest::sample::select(Format::ALL.to_vec())
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        "[a-zA-Z0-9 ./:#;'\"=-]{0,12}".prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        "\\PC{0,6}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            proptest::collection::vec(("[a-c]{1,2}", inner), 0..3)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn change() -> impl Strategy<Value = Change> {
    let path = prop_oneof![
        "(/[abc]){1,3}".boxed(),
        "/[abc]/[01]".boxed(),
        "//[abc]".boxed(),
        "/[abc ~]{0,3}/\\PC{0,3}".boxed(),
    ];
    (
        proptest::sample::select(vec![Verb::Set, Verb::Remove, Verb::Append]),
        path,
        proptest::option::weighted(0.8, value()),
    )
        .prop_map(|(verb, path, value)| Change {
            verb,
            path,
            value,
            expected: None,
        })
}

/// Files made of the pieces that formats give meaning to, so that many are valid and most of the others nearly so.
fn file() -> impl Strategy<Value = String> {
    let piece = proptest::sample::select(vec![
        "a",
        "b",
        "c",
        ": ",
        ":",
        "=",
        " = ",
        "\n",
        "\n",
        "\r\n",
        "  ",
        "    ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        ",",
        ", ",
        "\"",
        "\"x\"",
        "'y'",
        "'",
        "#",
        " # note",
        "; note",
        "// note",
        "/* n */",
        "1",
        "2.5",
        "true",
        "null",
        "[a]",
        "[b]",
        "[[a]]",
        "|",
        "|\n  text",
        "&x ",
        "*x",
        "!!str ",
        "---\n",
        "export ",
        "$X",
        "\\",
        "\\\n",
        "\"a\": 1",
        "\"b\": [1, 2]",
        "a = 1\n",
        "b = [1, 2]\n",
        "a: 1\n",
        "b:\n  - x\n",
        "  c: 2\n",
        "é",
        "<<: ",
        "? ",
    ]);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Well-formed files with comments, to see changes that succeed.
fn sound_file() -> impl Strategy<Value = (Format, String)> {
    let keys = proptest::collection::vec(
        (
            proptest::sample::select(vec!["a", "b", "c", "d", "e"]),
            0..100u32,
            any::<bool>(),
            any::<bool>(),
        ),
        1..6,
    );
    (format(), keys, any::<bool>()).prop_map(|(format, keys, crlf)| {
        let mut seen = std::collections::HashSet::new();
        let keys: Vec<_> = keys
            .into_iter()
            .filter(|(key, ..)| seen.insert(*key))
            .collect();
        let mut text = String::new();
        let slash = format == Format::Json;
        let comment = |number: usize| {
            if slash {
                format!("  // comment {number}\n")
            } else {
                format!("# comment {number}\n")
            }
        };
        match format {
            Format::Json => text.push_str("{\n"),
            Format::Ini | Format::Systemd | Format::Toml => text.push_str("# top\n[a]\n"),
            _ => text.push_str("# top\n"),
        }
        for (number, (key, value, commented, gap)) in keys.iter().enumerate() {
            if *commented {
                text.push_str(&comment(number));
            }
            text.push_str(&match format {
                Format::Json => format!(
                    "  \"{key}\": {value}{}\n",
                    if number + 1 == keys.len() { "" } else { "," }
                ),
                Format::Yaml if value % 3 == 0 => {
                    format!("{key}:\n  - x{value}\n  # inner {number}\n  - y\n")
                }
                Format::Yaml if value % 3 == 1 => {
                    format!("{key}:\n  a: {value}   # behind {number}\n  b: [p, q]\n")
                }
                Format::Yaml => format!("{key}: {value}\n"),
                Format::KeyValue => format!("{key}={value}\n"),
                Format::Toml if value % 2 == 0 => {
                    format!("{key} = [{value}, 2] # behind {number}\n")
                }
                _ => format!("{key} = {value}\n"),
            });
            if *gap {
                text.push('\n');
            }
        }
        if format == Format::Json {
            text.push_str("}\n");
        }
        (
            format,
            if crlf {
                text.replace('\n', "\r\n")
            } else {
                text
            },
        )
    })
}

fn check(format: Format, bytes: &[u8], changes: &[Change]) -> Result<(), TestCaseError> {
    if let Ok(Outcome::Changed(after)) = apply(format, Some(bytes), false, changes) {
        prop_assert_ne!(&after[..], bytes, "`Changed` without a change");
        let again = apply(format, Some(&after), false, changes);
        prop_assert!(
            matches!(again, Ok(Outcome::Unchanged)),
            "{format}: second run gave {again:?}\nbefore {:?}\nchanges {changes:?}\nafter {:?}",
            String::from_utf8_lossy(bytes),
            String::from_utf8_lossy(&after)
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(format in format(), bytes in proptest::collection::vec(any::<u8>(), 0..64), changes in proptest::collection::vec(change(), 0..3)) {
        check(format, &bytes, &changes)?;
    }

    #[test]
    fn near_files_never_panic_and_settle(format in format(), text in file(), changes in proptest::collection::vec(change(), 0..4)) {
        check(format, text.as_bytes(), &changes)?;
    }

    #[test]
    fn sound_files_settle((format, text) in sound_file(), changes in proptest::collection::vec(change(), 1..4)) {
        check(format, text.as_bytes(), &changes)?;
    }

    #[test]
    fn one_set_scalar_touches_at_most_one_entry((format, text) in sound_file(), key in "[a-f]", new in 1000..2000u32) {
        let path = match format {
            Format::Ini | Format::Systemd | Format::Toml => format!("/a/{key}"),
            _ => format!("/{key}"),
        };
        let result = apply(format, Some(text.as_bytes()), false, &[Change::set(path, json!(new))]);
        let Ok(Outcome::Changed(after)) = result else {
            // Only a comment between key and value is a reason to refuse here.
            prop_assert!(format == Format::Yaml, "{format}: {result:?}\n{text}");
            return Ok(());
        };
        let after = String::from_utf8(after).expect("was text");
        // Every line except those of the entry stands there still, in order; a comma may have joined the last member of a JSON object.
        let mut rest = after.split_inclusive('\n');
        let entry = |line: &str| {
            let line = line.trim_start();
            line.starts_with(&key) || line.starts_with(&format!("\"{key}\""))
        };
        let mut inside = false;
        for line in text.split_inclusive('\n') {
            inside = entry(line) || (inside && format == Format::Yaml && line.starts_with("  "));
            if inside {
                continue;
            }
            let bare = |line: &str| line.trim_end().trim_end_matches(',').to_owned();
            let found = rest.any(|other| other == line || (format == Format::Json && bare(other) == bare(line) && other.ends_with('\n') == line.ends_with('\n')));
            prop_assert!(found, "{format}: {line:?} is gone\n{text}\n=>\n{after}");
        }
        prop_assert_eq!(text.contains('\r'), after.contains('\r'));
    }
}
