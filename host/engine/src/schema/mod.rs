//! A generator's schema for its configuration, and what it says of one: soon, and in little memory, whoever wrote the two.
//!
//! The schema comes from whoever uploads a component, the document from whoever saves a profile, and the host judges them in its own process. Neither
//! alone tells how long that takes: a schema that applies itself twice to each deeper level of a document takes time that doubles with the document's
//! depth. So [`shape`] bounds the schema when it is read, and [`cost`] counts the steps before a validator sees the document. The count depends on
//! nothing but the two, so a plugin's author and every host see the same answer.

mod cost;
mod shape;

use std::fmt::{self, Write as _};

use jsonschema::{PatternOptions, ValidationError, Validator};
use serde_json::Value;

use self::cost::Outline;

/// Bytes of automata that all patterns of one schema share.
const PATTERNS: usize = 32 << 20;
/// Characters of one finding.
const MAX_TEXT: usize = 400;

/// A schema that can be held against documents.
pub struct Schema {
    validator: Validator,
    outline: Outline,
}

/// What a schema says of a document.
#[derive(Debug)]
pub enum Verdict<'a> {
    Fits,
    Breaks(Vec<ValidationError<'a>>),
    /// It breaks the schema; to tell where would take too much memory.
    BreaksSomewhere,
    /// Nobody knows: to find out would take too long.
    TooCostly,
}

// === impl Schema ===

impl Schema {
    /// The error says what is wrong with the schema.
    pub fn new(source: &Value) -> Result<Self, String> {
        let patterns = shape::check(source)?;
        // The linear engine: a pattern of a plugin must not be able to hold a thread for ever.
        let share = PATTERNS / patterns.max(4);
        let patterns = PatternOptions::regex()
            .size_limit(share)
            .dfa_size_limit(share);
        let validator = jsonschema::draft202012::options()
            .with_pattern_options(patterns)
            .build(source)
            .map_err(|error| format!("it is no JSON Schema: {}", brief(&error)))?;
        let outline = Outline::of(source);
        Ok(Self { validator, outline })
    }

    /// Judges a document within a number of steps.
    pub fn judge<'a>(&'a self, document: &'a Value) -> Verdict<'a> {
        let Some(cost) = self.outline.cost(document) else {
            return Verdict::TooCostly;
        };
        if self.validator.is_valid(document) {
            Verdict::Fits
        } else if cost.telling > cost::MAX_TELLING {
            Verdict::BreaksSomewhere
        } else {
            Verdict::Breaks(self.validator.iter_errors(document).collect())
        }
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schema").finish_non_exhaustive()
    }
}

// === impl Verdict ===

impl Verdict<'_> {
    /// Code and text of a verdict on the document as a whole.
    pub fn whole(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Fits | Self::Breaks(_) => None,
            Self::BreaksSomewhere => Some((
                "schema",
                "it breaks the generator's schema, and is too large to say where: try its parts one by one".to_owned(),
            )),
            Self::TooCostly => Some((
                "schema-too-costly",
                format!(
                    "to judge it by the generator's schema would take more than {} steps, or lead more than {} schemas deep: make it smaller or flatter; \
                     if it is small, the schema applies itself several times to each deeper level, and the generator's author must mend that",
                    cost::MAX_JUDGING,
                    cost::MAX_DEPTH
                ),
            )),
        }
    }
}

/// The text of a validator's error, cut: some hold the whole document.
pub fn brief(error: &ValidationError<'_>) -> String {
    let mut text = Brief(String::new());
    // Its own end is its only error.
    if write!(text, "{error}").is_err() {
        text.0.push('…');
    }
    text.0
}

/// Takes so much text and refuses the rest, so that the rest is never made.
struct Brief(String);

impl fmt::Write for Brief {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let left = MAX_TEXT - self.0.len();
        if text.len() <= left {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(left)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(levels: usize) -> Value {
        (0..levels).fold(json!(1), |inner, _| json!({"a": inner}))
    }

    fn code(verdict: &Verdict<'_>) -> &'static str {
        match verdict {
            Verdict::Fits => "fits",
            Verdict::Breaks(_) => "breaks",
            other => other.whole().map_or("", |(code, _)| code),
        }
    }

    #[test]
    fn a_schema_that_doubles_its_work_at_each_level_is_given_up_before_it_starts() {
        let twice = json!({"properties": {"a": {"$ref": "#"}}, "required": ["b"]});
        let doubling = Schema::new(&json!({"anyOf": [twice, twice]})).unwrap();
        for (levels, says) in [
            (1, "breaks"),
            (8, "breaks"),
            (40, "schema-too-costly"),
            (120, "schema-too-costly"),
        ] {
            assert_eq!(code(&doubling.judge(&nested(levels))), says, "{levels}");
        }
    }

    #[test]
    fn a_document_is_never_followed_deeper_than_the_stack_bears() {
        let mut inner = json!({"properties": {"a": {"$ref": "#"}}});
        for _ in 0..30 {
            inner = json!({"allOf": [inner]});
        }
        let schema = Schema::new(&inner).unwrap();
        assert_eq!(code(&schema.judge(&nested(17))), "fits");
        assert_eq!(code(&schema.judge(&nested(120))), "schema-too-costly");
    }

    #[test]
    fn findings_that_would_fill_the_memory_are_not_told_one_by_one() {
        // Half a megabyte of name in front of each finding; the document in each of a thousand alternatives.
        let texts =
            Schema::new(&json!({"additionalProperties": {"items": {"type": "string"}}})).unwrap();
        let long = json!({"k".repeat(500_000): vec![1; 1000]});
        assert!(matches!(texts.judge(&long), Verdict::BreaksSomewhere));
        let choices: Vec<_> = (0..1000).map(|n| json!({"const": n})).collect();
        let choices = Schema::new(&json!({"anyOf": choices})).unwrap();
        assert!(matches!(
            choices.judge(&json!(vec![1; 10_000])),
            Verdict::BreaksSomewhere
        ));
        assert!(
            matches!(choices.judge(&json!("none")), Verdict::Breaks(found) if found.len() == 1)
        );
    }

    #[test]
    fn a_long_list_of_packages_is_judged_and_its_faults_told() {
        let schema = Schema::new(&json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {"packages": {"type": "array", "uniqueItems": true, "items": {"anyOf": [
                {"type": "string", "pattern": "^[a-z0-9][a-z0-9.+-]*$"},
                {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "version": {"type": "string"}}},
            ]}}},
        }))
        .unwrap();
        let mut packages: Vec<Value> = (0..2000).map(|n| json!(format!("package-{n}"))).collect();
        assert!(matches!(
            schema.judge(&json!({"packages": packages})),
            Verdict::Fits
        ));
        packages[7] = json!(7);
        match schema.judge(&json!({"packages": packages})) {
            Verdict::Breaks(found) => {
                assert_eq!(found[0].instance_path().to_string(), "/packages/7")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_text_is_cut_before_it_is_made() {
        let schema = Schema::new(&json!({"type": "string"})).unwrap();
        let document = json!(vec!["ü".repeat(50); 1000]);
        let Verdict::Breaks(found) = schema.judge(&document) else {
            panic!("it fits");
        };
        let text = brief(&found[0]);
        assert!(
            text.len() <= MAX_TEXT + '…'.len_utf8() && text.ends_with('…'),
            "{text}"
        );
    }
}
