//! The way every edit takes, whatever the format: read, decide on the meaning, rewrite spans of the text, read again, compare.
//!
//! The comparison is the safety net. After each change the new text is read back, and its meaning must be the old meaning with that change
//! and nothing else; a rewriter that gets a rare construct wrong therefore ends in a refusal, never in a damaged file.

use serde_json::Value;

use crate::pointer::Pointer;
use crate::text::{Decoded, Splice, position, splice};
use crate::{Change, EditError, Format, MAX_FILE, Outcome, Verb};
use crate::{ini, json, key_value, systemd, toml, tree, yaml};

/// A fault at an offset of the text.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) at: usize,
    pub(crate) problem: String,
}

/// A format: how text is read into a meaning (as JSON), what changes do to the meaning, and which spans of the text say so.
pub(crate) trait Language {
    /// Whether bytes that are not UTF-8 may stand in the file.
    const LENIENT: bool;

    /// The meaning of the whole text.
    fn read(text: &str) -> Result<Value, Fault>;

    /// Makes the change to the meaning. The error says what is wrong with the change.
    fn wish(meaning: &mut Value, wish: &Wish<'_>) -> Result<(), String> {
        tree::wish(meaning, wish)
    }

    /// What stands at the wish's path.
    fn find<'a>(meaning: &'a Value, wish: &Wish<'_>) -> Option<&'a Value> {
        tree::find(meaning, wish.pointer.tokens())
    }

    /// Whether `found` is what a change expects.
    fn is_expected(found: &Value, expected: &Value) -> bool {
        found == expected
    }

    /// The spans to replace. Called only for a change that [`Self::wish`] accepted and that alters the meaning.
    fn rewrite(text: &str, wish: &Wish<'_>) -> Result<Vec<Splice>, Fault>;
}

/// A [`Change`] with its path read and its value at hand.
#[derive(Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) index: usize,
    pub(crate) verb: Verb,
    pub(crate) path: &'a str,
    pub(crate) pointer: Pointer,
    pub(crate) value: Option<&'a Value>,
    pub(crate) expected: Option<&'a Value>,
}

pub(crate) fn apply(
    format: Format,
    original: Option<&[u8]>,
    create: bool,
    changes: &[Change],
) -> Result<Outcome, EditError> {
    match format {
        Format::Ini => edit::<ini::Ini>(format, original, create, changes),
        Format::Json => edit::<json::Json>(format, original, create, changes),
        Format::Yaml => edit::<yaml::Yaml>(format, original, create, changes),
        Format::Toml => edit::<toml::Toml>(format, original, create, changes),
        Format::KeyValue => edit::<key_value::KeyValue>(format, original, create, changes),
        Format::Systemd => edit::<systemd::Systemd>(format, original, create, changes),
    }
}

fn edit<L: Language>(
    format: Format,
    original: Option<&[u8]>,
    create: bool,
    changes: &[Change],
) -> Result<Outcome, EditError> {
    if original.is_none() && !create {
        return Err(EditError::Missing);
    }
    let bytes = original.unwrap_or_default();
    if bytes.len() > MAX_FILE {
        return Err(EditError::TooLarge {
            size: bytes.len(),
            limit: MAX_FILE,
        });
    }
    let wishes = changes
        .iter()
        .enumerate()
        .map(|(index, change)| Wish::new(index, change))
        .collect::<Result<Vec<_>, _>>()?;
    let malformed = |text: &str, fault: Fault| EditError::Malformed {
        format,
        at: position(text, fault.at),
        problem: fault.problem,
    };
    let decoded = Decoded::read(bytes, L::LENIENT).map_err(|(at, problem)| {
        let before = String::from_utf8_lossy(&bytes[..at.min(bytes.len())]);
        malformed(
            &before,
            Fault {
                at: before.len(),
                problem,
            },
        )
    })?;
    let old = L::read(&decoded.text).map_err(|fault| malformed(&decoded.text, fault))?;

    let mut wanted = old.clone();
    for wish in &wishes {
        L::wish(&mut wanted, wish).map_err(|problem| wish.invalid(problem))?;
    }
    if wanted == old {
        return Ok(Outcome::Unchanged);
    }
    refuse_what_never_settles::<L>(&wanted, &wishes)?;

    let mut text = decoded.text.clone();
    let mut meaning = old;
    for wish in &wishes {
        let mut next = meaning.clone();
        L::wish(&mut next, wish).map_err(|problem| wish.invalid(problem))?;
        if next == meaning {
            continue;
        }
        wish.check_expected::<L>(&meaning)?;
        let splices = L::rewrite(&text, wish).map_err(|fault| EditError::Unsupported {
            index: wish.index,
            pointer: wish.path.to_owned(),
            at: position(&text, fault.at),
            problem: fault.problem,
        })?;
        let unfaithful = |problem: String| EditError::Unfaithful {
            index: wish.index,
            pointer: wish.path.to_owned(),
            problem,
        };
        text = splice(&text, splices)
            .ok_or_else(|| unfaithful("the spans to replace overlap".into()))?;
        let seen = L::read(&text).map_err(|fault| {
            unfaithful(format!(
                "the result is not valid {format} at {}: {}",
                position(&text, fault.at),
                fault.problem
            ))
        })?;
        if seen != next {
            return Err(unfaithful("the result reads back differently".into()));
        }
        meaning = next;
    }
    Ok(Outcome::Changed(decoded.write(&text)))
}

/// The promise that a second run changes nothing can be kept only by changes that settle.
fn refuse_what_never_settles<L: Language>(
    wanted: &Value,
    wishes: &[Wish<'_>],
) -> Result<(), EditError> {
    let mut again = wanted.clone();
    for wish in wishes {
        L::wish(&mut again, wish).map_err(|problem| wish.invalid(problem))?;
    }
    match wishes.last() {
        Some(last) if again != *wanted => Err(last.invalid(
            "together with the changes before it, this would change the file again on a second run; write changes that do not undo each other".into(),
        )),
        _ => Ok(()),
    }
}

// === impl Wish ===

impl<'a> Wish<'a> {
    fn new(index: usize, change: &'a Change) -> Result<Self, EditError> {
        let invalid = |problem: String| EditError::InvalidChange {
            index,
            pointer: change.path.clone(),
            problem,
        };
        let pointer = Pointer::parse(&change.path).map_err(invalid)?;
        if change.verb != Verb::Remove && change.value.is_none() {
            return Err(invalid("`set` and `append` need a `value`".into()));
        }
        if pointer.tokens().is_empty() && change.verb == Verb::Set {
            return Err(invalid(
                "the whole document is not set by an edit; provide it as a file".into(),
            ));
        }
        if pointer.tokens().is_empty() && change.value.is_none() {
            return Err(invalid(
                "the whole document is not removed by an edit".into(),
            ));
        }
        Ok(Self {
            index,
            verb: change.verb,
            path: &change.path,
            pointer,
            value: change.value.as_ref(),
            expected: change.expected.as_ref(),
        })
    }

    fn invalid(&self, problem: String) -> EditError {
        EditError::InvalidChange {
            index: self.index,
            pointer: self.path.to_owned(),
            problem,
        }
    }

    fn check_expected<L: Language>(&self, meaning: &Value) -> Result<(), EditError> {
        let Some(expected) = self.expected else {
            return Ok(());
        };
        let found = L::find(meaning, self);
        if L::is_expected(found.unwrap_or(&Value::Null), expected) {
            return Ok(());
        }
        Err(EditError::Mismatch {
            index: self.index,
            pointer: self.path.to_owned(),
            expected: shown(expected),
            found: found.map_or_else(|| "nothing there".into(), shown),
        })
    }
}

/// JSON text, cut where a person would stop reading.
fn shown(value: &Value) -> String {
    const ENOUGH: usize = 200;
    let text = value.to_string();
    match text.char_indices().nth(ENOUGH) {
        Some((cut, _)) => format!("{}… ({} bytes)", &text[..cut], text.len()),
        None => text,
    }
}
