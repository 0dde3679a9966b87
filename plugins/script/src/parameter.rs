//! Typed values for a script: checked here, and handed over as environment variables, so that no value is ever read as code.

use bootsplice_sdk::{Diagnostic, Pointer};
use serde::Deserialize;

/// Longest value, in bytes: the kernel takes 128 KiB for one variable (execve(2), MAX_ARG_STRLEN).
pub const MAX_VALUE: usize = 64 << 10;

/// A value and what it must be.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Parameter {
    /// Text, of one line unless `multiline`. Lengths count characters.
    String {
        value: String,
        #[serde(default)]
        min_length: Option<usize>,
        #[serde(default)]
        max_length: Option<usize>,
        #[serde(default)]
        multiline: bool,
        #[serde(default)]
        description: Option<String>,
    },
    /// Decimal digits.
    Integer {
        value: i64,
        #[serde(default)]
        minimum: Option<i64>,
        #[serde(default)]
        maximum: Option<i64>,
        #[serde(default)]
        description: Option<String>,
    },
    /// `true` or `false`.
    Boolean {
        value: bool,
        #[serde(default)]
        description: Option<String>,
    },
    /// One of some words.
    Enum {
        value: String,
        values: Vec<String>,
        #[serde(default)]
        description: Option<String>,
    },
    /// A list, as shell words in single quotes: `eval "set -- $NAME"` gives exactly these.
    Words {
        value: Vec<String>,
        #[serde(default)]
        description: Option<String>,
    },
}

// === impl Parameter ===

impl Parameter {
    /// The variable's value.
    pub fn text(&self) -> String {
        match self {
            Self::String { value, .. } | Self::Enum { value, .. } => value.clone(),
            Self::Integer { value, .. } => value.to_string(),
            Self::Boolean { value, .. } => value.to_string(),
            Self::Words { value, .. } => value
                .iter()
                .map(|word| quoted(word))
                .collect::<Vec<_>>()
                .join(" "),
        }
    }

    /// Findings about the parameter at `at`.
    pub fn check(&self, at: &Pointer, found: &mut Vec<Diagnostic>) {
        let at = at.key("value");
        match self {
            Self::String {
                value,
                min_length,
                max_length,
                multiline,
                ..
            } => {
                let length = value.chars().count();
                if min_length.is_some_and(|least| length < least)
                    || max_length.is_some_and(|most| length > most)
                {
                    found.push(Diagnostic::error(
                        at.clone(),
                        "out-of-range",
                        format!(
                            "{length} characters; allowed: {}",
                            range(*min_length, *max_length)
                        ),
                    ));
                }
                check_line(&at, value, *multiline, found);
            }
            Self::Integer {
                value,
                minimum,
                maximum,
                ..
            } => {
                if minimum.is_some_and(|least| *value < least)
                    || maximum.is_some_and(|most| *value > most)
                {
                    found.push(Diagnostic::error(
                        at,
                        "out-of-range",
                        format!("{value}; allowed: {}", range(*minimum, *maximum)),
                    ));
                }
            }
            Self::Boolean { .. } => {}
            Self::Enum { value, values, .. } => {
                if values.contains(value) {
                    check_line(&at, value, false, found);
                } else {
                    found.push(
                        Diagnostic::error(at, "not-among-values", format!("`{value}`"))
                            .with_hint(format!("use one of: {}", values.join(", "))),
                    );
                }
            }
            Self::Words { value, .. } => {
                for (index, word) in value.iter().enumerate() {
                    check_line(&at.index(index), word, true, found);
                }
                if self.text().len() > MAX_VALUE {
                    found.push(Diagnostic::error(
                        at,
                        "too-long",
                        format!("more than {MAX_VALUE} bytes when quoted"),
                    ));
                }
            }
        }
    }
}

/// Findings about text that becomes (a part of) an environment variable as it is. No placeholders: a parameter is a fixed value.
fn check_line(at: &Pointer, text: &str, multiline: bool, found: &mut Vec<Diagnostic>) {
    check_variable(at, text, found);
    if !multiline && text.contains(['\n', '\r']) {
        found.push(
            Diagnostic::error(at.clone(), "line-break", "the value holds a line break")
                .with_hint("say `multiline: true` on a string that may"),
        );
    }
    if bootsplice_sdk::placeholder::has_placeholders(text) {
        found.push(
            Diagnostic::error(
                at.clone(),
                "placeholder-not-filled",
                "a parameter is a fixed value: its type is checked before a launch is known",
            )
            .with_hint(
                "put the placeholder under `environment`, or name the secret under `secrets`",
            ),
        );
    }
}

/// Findings about the value of a variable.
pub fn check_variable(at: &Pointer, text: &str, found: &mut Vec<Diagnostic>) {
    if text.contains('\0') {
        found.push(Diagnostic::error(
            at.clone(),
            "holds-nul",
            "no environment variable or argument can hold NUL",
        ));
    }
    if text.len() > MAX_VALUE {
        found.push(
            Diagnostic::error(
                at.clone(),
                "too-long",
                format!("{} bytes; at most {MAX_VALUE}", text.len()),
            )
            .with_hint("put it into a file under `files`"),
        );
    }
}

/// A shell word that stands for exactly this text (POSIX.1-2024, XCU 2.2.2).
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn range<T: std::fmt::Display>(least: Option<T>, most: Option<T>) -> String {
    match (least, most) {
        (Some(least), Some(most)) => format!("{least} to {most}"),
        (Some(least), None) => format!("{least} and more"),
        (None, Some(most)) => format!("at most {most}"),
        (None, None) => "any".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(json: &str) -> Vec<String> {
        let mut found = Vec::new();
        serde_json::from_str::<Parameter>(json)
            .unwrap()
            .check(&Pointer::root().key("parameters").key("X"), &mut found);
        found.into_iter().map(|finding| finding.code).collect()
    }

    #[test]
    fn values_become_plain_text() {
        let text = |json: &str| serde_json::from_str::<Parameter>(json).unwrap().text();
        assert_eq!(
            text(r#"{"type": "string", "value": "$(reboot)"}"#),
            "$(reboot)"
        );
        assert_eq!(text(r#"{"type": "integer", "value": -7}"#), "-7");
        assert_eq!(text(r#"{"type": "boolean", "value": true}"#), "true");
        assert_eq!(
            text(r#"{"type": "words", "value": ["a b", "it's", ""]}"#),
            r"'a b' 'it'\''s' ''"
        );
    }

    #[test]
    fn a_value_outside_its_type_is_refused() {
        assert_eq!(
            codes(r#"{"type": "integer", "value": 9, "maximum": 8}"#),
            ["out-of-range"]
        );
        assert_eq!(
            codes(r#"{"type": "string", "value": "", "min_length": 1}"#),
            ["out-of-range"]
        );
        assert_eq!(
            codes(r#"{"type": "enum", "value": "c", "values": ["a", "b"]}"#),
            ["not-among-values"]
        );
        assert_eq!(
            codes(r#"{"type": "enum", "value": "b", "values": ["a", "b"]}"#),
            [""; 0]
        );
        assert!(serde_json::from_str::<Parameter>(r#"{"type": "integer", "value": "9"}"#).is_err());
        assert!(serde_json::from_str::<Parameter>(r#"{"type": "integer", "value": 1.5}"#).is_err());
        assert!(
            serde_json::from_str::<Parameter>(
                r#"{"type": "boolean", "value": true, "maximum": 1}"#
            )
            .is_err()
        );
    }

    #[test]
    fn what_no_variable_can_hold_is_refused() {
        assert_eq!(
            codes(r#"{"type": "string", "value": "a\u0000b"}"#),
            ["holds-nul"]
        );
        assert_eq!(
            codes(r#"{"type": "string", "value": "a\nb"}"#),
            ["line-break"]
        );
        assert_eq!(
            codes(r#"{"type": "string", "value": "a\nb", "multiline": true}"#),
            [""; 0]
        );
        assert_eq!(
            codes(r#"{"type": "words", "value": ["a\u0000"]}"#),
            ["holds-nul"]
        );
        assert_eq!(
            codes(r#"{"type": "string", "value": "{{secret:key}}"}"#),
            ["placeholder-not-filled"]
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_shell_reads_quoted_words_back_exactly() {
        let words = [
            "plain",
            "a b",
            "it's",
            "$(touch /nowhere/x)",
            "`id`",
            "\\",
            "\"",
            "new\nline",
            "*",
            "",
        ];
        let quoted: Vec<_> = words.iter().map(|word| quoted(word)).collect();
        let output = std::process::Command::new("/bin/sh")
            .args([
                "-c",
                r#"eval "set -- $LIST"; for word; do printf '%s\0' "$word"; done"#,
            ])
            .env("LIST", quoted.join(" "))
            .output()
            .unwrap();
        let read: Vec<_> = std::str::from_utf8(&output.stdout)
            .unwrap()
            .split_terminator('\0')
            .collect();
        assert_eq!(read, words);
    }
}
