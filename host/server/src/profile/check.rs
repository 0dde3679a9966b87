//! Finds every fault of a profile at once.
//!
//! The document is walked as JSON, not deserialised, because a deserialiser stops at the first fault. What passes here deserialises.

use std::collections::{BTreeMap, BTreeSet};

use bootsplice_content::Digest;
use serde_json::{Map, Value};

use super::{
    Generator, Generators, GeneratorsError, PluginRef, Profile, Stage, faults_of, placeholders,
    valid_name,
};
use crate::auth::Tenant;
use crate::extract::escape;
use crate::problem::Fault;

const MOST_STEPS: usize = 200;
const PROFILE_KEYS: &[&str] = &["name", "description", "locks", "steps"];
const STEP_KEYS: &[&str] = &[
    "id",
    "use",
    "at",
    "with",
    "stage",
    "after",
    "on_failure",
    "retries",
    "backoff",
    "timeout",
];

/// A profile without faults.
#[derive(Clone, Debug)]
pub struct Checked {
    pub profile: Profile,
    /// The generator of each step, in the order of the steps.
    pub generators: Vec<Generator>,
}

/// What is known of a step while faults are looked for.
#[derive(Default)]
struct Seen {
    id: Option<String>,
    after: Vec<String>,
    stage: Option<Stage>,
    generator: Option<Generator>,
}

struct Checker<'a> {
    tenant: &'a Tenant,
    generators: &'a dyn Generators,
    /// Generators that are given by step id instead of being looked up: those of a saved version.
    pinned: &'a BTreeMap<String, Digest>,
    faults: Vec<Fault>,
}

// === impl Checked ===

impl Checked {
    /// Digest of each step's generator, by step id.
    pub fn plugins(&self) -> BTreeMap<String, Digest> {
        let ids = self.profile.steps.iter().map(|step| step.id.clone());
        ids.zip(self.generators.iter().map(|generator| generator.digest))
            .collect()
    }
}

/// The profile in `document`, or all its faults.
pub async fn check(
    document: &Value,
    tenant: &Tenant,
    generators: &dyn Generators,
) -> Result<Result<Checked, Vec<Fault>>, GeneratorsError> {
    check_with(document, tenant, generators, &BTreeMap::new()).await
}

/// As [`check`], with the generators of some steps given by digest.
pub async fn check_with(
    document: &Value,
    tenant: &Tenant,
    generators: &dyn Generators,
    pinned: &BTreeMap<String, Digest>,
) -> Result<Result<Checked, Vec<Fault>>, GeneratorsError> {
    let mut checker = Checker {
        tenant,
        generators,
        pinned,
        faults: Vec::new(),
    };
    let found = checker.profile(document).await?;
    if !checker.faults.is_empty() {
        return Ok(Err(checker.faults));
    }
    match serde_json::from_value(document.clone()) {
        Ok(profile) => Ok(Ok(Checked {
            profile,
            generators: found,
        })),
        // Reached when the walk allows what the type does not: still an answer, not a panic.
        Err(error) => Ok(Err(vec![Fault::new(
            "",
            "invalid-value",
            error.to_string(),
        )])),
    }
}

// === impl Checker ===

impl Checker<'_> {
    async fn profile(&mut self, document: &Value) -> Result<Vec<Generator>, GeneratorsError> {
        let Some(fields) = document.as_object() else {
            self.wrong_type("", "an object", document);
            return Ok(Vec::new());
        };
        self.unknown_keys(fields, PROFILE_KEYS, "");
        if let Some(name) = self.text(fields, "name", "", true)
            && let Err(error) = Profile::valid_name(name)
        {
            self.fault(Fault::new("/name", "invalid-name", error.to_string()));
        }
        if let Some(description) = self.text(fields, "description", "", false)
            && description.len() > 4096
        {
            let detail = format!("{} bytes; at most 4,096 are kept", description.len());
            self.fault(Fault::new("/description", "too-long", detail));
        }
        if let Some(locks) = fields.get("locks") {
            self.locks(locks);
        }
        let steps = match fields.get("steps") {
            Some(Value::Array(steps)) => steps,
            Some(other) => {
                self.wrong_type("/steps", "a list", other);
                return Ok(Vec::new());
            }
            None => {
                self.missing("", "steps");
                return Ok(Vec::new());
            }
        };
        if steps.is_empty() {
            self.fault(Fault::new(
                "/steps",
                "empty",
                "a profile has at least one step",
            ));
        }
        if steps.len() > MOST_STEPS {
            let detail = format!("{} steps; at most {MOST_STEPS} are allowed", steps.len());
            self.fault(Fault::new("/steps", "too-many", detail));
            return Ok(Vec::new());
        }
        let mut seen = Vec::with_capacity(steps.len());
        for (index, step) in steps.iter().enumerate() {
            let step = self.step(step, &format!("/steps/{index}")).await?;
            seen.push(step);
        }
        self.ids(&seen);
        self.order(&seen);
        Ok(seen.into_iter().filter_map(|step| step.generator).collect())
    }

    fn locks(&mut self, locks: &Value) {
        match locks {
            Value::String(word) if word == "pinned" => {}
            Value::Object(fields) => {
                self.unknown_keys(fields, &["max_age"], "/locks");
                let seconds = fields.get("max_age");
                if !seconds
                    .and_then(Value::as_u64)
                    .is_some_and(|n| (1..=u64::from(u32::MAX)).contains(&n))
                {
                    let shown = seconds.map_or("nothing".to_owned(), Value::to_string);
                    let detail =
                        format!("{shown} is no age: expected seconds, as in `max_age: 86400`");
                    self.fault(Fault::new("/locks/max_age", "invalid-value", detail));
                }
            }
            other => {
                let detail =
                    format!("{other} is no policy: expected `pinned` or `max_age: SECONDS`");
                self.fault(Fault::new("/locks", "invalid-value", detail));
            }
        }
    }

    async fn step(&mut self, step: &Value, at: &str) -> Result<Seen, GeneratorsError> {
        let mut seen = Seen::default();
        let Some(fields) = step.as_object() else {
            self.wrong_type(at, "an object", step);
            return Ok(seen);
        };
        self.unknown_keys(fields, STEP_KEYS, at);
        if let Some(id) = self.text(fields, "id", at, true) {
            self.name(id, 40, &format!("{at}/id"), "the id of a step");
            seen.id = Some(id.to_owned());
        }
        if let Some(point) = self.text(fields, "at", at, true) {
            self.name(
                point,
                25,
                &format!("{at}/at"),
                "the name of an insertion point",
            );
        }
        self.one_of(fields, "on_failure", &["abort", "warn", "retry"], at);
        self.one_of(fields, "stage", &["files", "packages", "late"], at);
        seen.stage = match fields.get("stage").and_then(Value::as_str) {
            Some("files") => Some(Stage::Files),
            Some("packages") => Some(Stage::Packages),
            Some("late") => Some(Stage::Late),
            _ => None,
        };
        self.number(fields, "retries", 1..=10, at);
        self.number(fields, "backoff", 1..=3_600, at);
        self.number(fields, "timeout", 1..=86_400, at);
        let retries = fields.get("on_failure").and_then(Value::as_str) == Some("retry");
        for key in ["retries", "backoff"] {
            if fields.contains_key(key) && !retries {
                self.fault(
                    Fault::new(
                        format!("{at}/{key}"),
                        "no-effect",
                        format!("`{key}` does nothing without `on_failure: retry`"),
                    )
                    .hint("add `on_failure: retry`, or remove it"),
                );
            }
        }
        seen.after = self.after(fields, at);
        let config = self.config(fields, at);
        if let Some(text) = self.text(fields, "use", at, true) {
            seen.generator = self.generator(text, seen.id.as_deref(), at).await?;
        }
        if let (Some(generator), Some(config)) = (&seen.generator, &config) {
            self.configuration(generator, config, at).await?;
        }
        let stage = seen.generator.as_ref().map(|generator| generator.stage);
        seen.stage = seen.stage.or(stage);
        Ok(seen)
    }

    fn after(&mut self, fields: &Map<String, Value>, at: &str) -> Vec<String> {
        let items = match fields.get("after") {
            None => return Vec::new(),
            Some(Value::Array(items)) => items,
            Some(other) => {
                self.wrong_type(&format!("{at}/after"), "a list of step ids", other);
                return Vec::new();
            }
        };
        let mut after = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            match item.as_str() {
                Some(id) => after.push(id.to_owned()),
                None => self.wrong_type(&format!("{at}/after/{index}"), "the id of a step", item),
            }
        }
        after
    }

    fn config(&mut self, fields: &Map<String, Value>, at: &str) -> Option<Map<String, Value>> {
        match fields.get("with") {
            None => Some(Map::new()),
            Some(Value::Object(config)) => Some(config.clone()),
            Some(other) => {
                self.wrong_type(&format!("{at}/with"), "an object", other);
                None
            }
        }
    }

    async fn generator(
        &mut self,
        text: &str,
        step: Option<&str>,
        at: &str,
    ) -> Result<Option<Generator>, GeneratorsError> {
        let pointer = format!("{at}/use");
        let mut reference: PluginRef = match text.parse() {
            Ok(reference) => reference,
            Err(error) => {
                self.fault(Fault::new(pointer, "invalid-name", error.to_string()));
                return Ok(None);
            }
        };
        let pinned = step.and_then(|step| self.pinned.get(step));
        if let Some(digest) = pinned {
            reference.version = super::Versioned::Digest(*digest);
        }
        let found = self.generators.find(self.tenant, &reference).await?;
        if let Some(generator) = &found
            && pinned.is_none()
            && let Some((code, why)) = barred(generator)
        {
            let detail = format!("`{}` {why}", generator.reference());
            let all = self.generators.list(self.tenant).await?;
            let other = all.iter().find(|other| {
                other.name == generator.name
                    && other.yanked.is_none()
                    && other.digest != generator.digest
            });
            let mut fault = Fault::new(&pointer, code, detail);
            if let Some(other) = other {
                fault = fault.hint(format!("use `{}`", other.reference()));
            } else if generator.unsigned.is_some() {
                fault = fault.hint("who holds the keys signs it: `bootsplice plugin sign`");
            }
            self.fault(fault);
            return Ok(None);
        }
        if found.is_none() {
            let all = self.generators.list(self.tenant).await?;
            let mut fault = Fault::new(
                pointer,
                "unknown-generator",
                format!("no generator `{reference}` is installed"),
            );
            let same: Vec<_> = all
                .iter()
                .filter(|generator| generator.name == reference.name)
                .filter(|generator| generator.yanked.is_none())
                .map(Generator::reference)
                .collect();
            let names: Vec<_> = all.iter().map(|one| one.name.to_string()).collect();
            if !same.is_empty() {
                fault = fault.hint(format!("there is {}", same.join(", ")));
            } else if let Some(near) = nearest(
                &reference.name.to_string(),
                names.iter().map(String::as_str),
            ) {
                fault = fault.hint(format!("did you mean `{near}`?"));
            }
            self.fault(fault);
        }
        Ok(found)
    }

    async fn configuration(
        &mut self,
        generator: &Generator,
        config: &Map<String, Value>,
        at: &str,
    ) -> Result<(), GeneratorsError> {
        let with = format!("{at}/with");
        let value = Value::Object(config.clone());
        let mut faults =
            faults_of(&generator.config_schema, &value, &with).unwrap_or_else(|error| {
                let detail = format!("the schema of `{}`: {error}", generator.reference());
                vec![Fault::new(&with, "generator-schema", detail)]
            });
        // What the schema refuses the generator need not see.
        if faults.is_empty() {
            let own = self.generators.validate(generator, config).await?;
            faults.extend(own.into_iter().map(|fault| prefixed(fault, &with)));
        }
        let (_, unknown) = placeholders(config);
        faults.extend(unknown.into_iter().map(|fault| prefixed(fault, &with)));
        self.faults.extend(faults);
        Ok(())
    }

    /// Ids are unique, and `after` names other steps.
    fn ids(&mut self, steps: &[Seen]) {
        let mut first: BTreeMap<&str, usize> = BTreeMap::new();
        for (index, step) in steps.iter().enumerate() {
            let Some(id) = step.id.as_deref() else {
                continue;
            };
            if let Some(other) = first.get(id) {
                self.fault(Fault::new(
                    format!("/steps/{index}/id"),
                    "duplicate-id",
                    format!("step {other} has the id `{id}` already"),
                ));
            } else {
                first.insert(id, index);
            }
        }
        for (index, step) in steps.iter().enumerate() {
            for (position, id) in step.after.iter().enumerate() {
                let pointer = format!("/steps/{index}/after/{position}");
                let Some(other) = first.get(&**id) else {
                    let detail = format!("no step has the id `{id}`");
                    let mut fault = Fault::new(pointer, "unknown-step", detail);
                    if let Some(near) = nearest(id, first.keys().copied()) {
                        fault = fault.hint(format!("did you mean `{near}`?"));
                    }
                    self.fault(fault);
                    continue;
                };
                let (mine, theirs) = (step.stage, steps[*other].stage);
                if let (Some(mine), Some(theirs)) = (mine, theirs)
                    && theirs > mine
                {
                    self.fault(
                        Fault::new(
                            pointer,
                            "later-stage",
                            format!(
                                "`{id}` runs in the stage {}, after this step's {}",
                                name_of(theirs),
                                name_of(mine)
                            ),
                        )
                        .hint(format!("give this step `stage: {}`", name_of(theirs))),
                    );
                }
            }
        }
    }

    /// No step waits for itself, directly or through others. Each circle is told once, at the step where it is met first.
    fn order(&mut self, steps: &[Seen]) {
        let index_of: BTreeMap<&str, usize> = steps
            .iter()
            .enumerate()
            .rev()
            .filter_map(|(index, step)| Some((step.id.as_deref()?, index)))
            .collect();
        let mut done = BTreeSet::new();
        for start in 0..steps.len() {
            let mut path = Vec::new();
            self.follow(start, steps, &index_of, &mut path, &mut done);
        }
    }

    /// At most [`MOST_STEPS`] deep.
    fn follow(
        &mut self,
        step: usize,
        steps: &[Seen],
        index_of: &BTreeMap<&str, usize>,
        path: &mut Vec<usize>,
        done: &mut BTreeSet<usize>,
    ) {
        if done.contains(&step) {
            return;
        }
        path.push(step);
        for (position, id) in steps[step].after.iter().enumerate() {
            let Some(&next) = index_of.get(&**id) else {
                continue;
            };
            if let Some(start) = path.iter().position(|on_path| *on_path == next) {
                let circle: Vec<_> = path[start..]
                    .iter()
                    .chain([&next])
                    .map(|index| steps[*index].id.as_deref().unwrap_or("?"))
                    .collect();
                self.fault(Fault::new(
                    format!("/steps/{step}/after/{position}"),
                    "circle",
                    format!("the steps wait for each other: {}", circle.join(" after ")),
                ));
            } else {
                self.follow(next, steps, index_of, path, done);
            }
        }
        path.pop();
        done.insert(step);
    }

    fn fault(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    fn missing(&mut self, at: &str, key: &str) {
        let detail = format!("the key `{key}` is required");
        self.fault(Fault::new(format!("{at}/{key}"), "missing-key", detail));
    }

    fn wrong_type(&mut self, pointer: &str, expected: &str, found: &Value) {
        let found = match found {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let detail = format!("expected {expected}, found {found}");
        self.fault(Fault::new(pointer, "wrong-type", detail));
    }

    fn unknown_keys(&mut self, fields: &Map<String, Value>, known: &[&str], at: &str) {
        for key in fields.keys().filter(|key| !known.contains(&key.as_str())) {
            let shown: String = key.chars().take(80).collect();
            let mut fault = Fault::new(
                format!("{at}/{}", escape(key)),
                "unknown-key",
                format!("there is no key `{shown}` here"),
            );
            fault.hint = Some(match nearest(key, known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("the keys are {}", known.join(", ")),
            });
            self.fault(fault);
        }
    }

    fn text<'v>(
        &mut self,
        fields: &'v Map<String, Value>,
        key: &str,
        at: &str,
        required: bool,
    ) -> Option<&'v str> {
        match fields.get(key) {
            Some(Value::String(text)) => Some(text),
            Some(other) => {
                self.wrong_type(&format!("{at}/{key}"), "a text", other);
                None
            }
            None => {
                if required {
                    self.missing(at, key);
                }
                None
            }
        }
    }

    fn name(&mut self, text: &str, max: usize, pointer: &str, what: &str) {
        if !valid_name(text, max) {
            let shown: String = text.chars().take(80).collect();
            let detail =
                format!("`{shown}` is not {what}: expected 1 to {max} of a-z, 0-9 and `-`");
            self.fault(Fault::new(pointer, "invalid-name", detail));
        }
    }

    fn one_of(&mut self, fields: &Map<String, Value>, key: &str, allowed: &[&str], at: &str) {
        let Some(text) = self.text(fields, key, at, false) else {
            return;
        };
        if !allowed.contains(&text) {
            let shown: String = text.chars().take(80).collect();
            let detail = format!("`{shown}` is not one of {}", allowed.join(", "));
            let mut fault = Fault::new(format!("{at}/{key}"), "invalid-value", detail);
            if let Some(near) = nearest(text, allowed.iter().copied()) {
                fault = fault.hint(format!("did you mean `{near}`?"));
            }
            self.fault(fault);
        }
    }

    fn number(
        &mut self,
        fields: &Map<String, Value>,
        key: &str,
        allowed: std::ops::RangeInclusive<u64>,
        at: &str,
    ) {
        let Some(value) = fields.get(key) else { return };
        if !value
            .as_u64()
            .is_some_and(|number| allowed.contains(&number))
        {
            let (low, high) = (allowed.start(), allowed.end());
            let detail = format!("expected a whole number from {low} to {high}, found {value}");
            self.fault(Fault::new(format!("{at}/{key}"), "invalid-value", detail));
        }
    }
}

fn prefixed(fault: Fault, with: &str) -> Fault {
    Fault {
        pointer: format!("{with}{}", fault.pointer),
        ..fault
    }
}

/// Why no new revision of a profile may use a generator: code, and what comes behind its name.
fn barred(generator: &Generator) -> Option<(&'static str, String)> {
    if let Some(reason) = &generator.yanked {
        return Some(("yanked-generator", format!("was yanked: {reason}")));
    }
    let missing = generator.unsigned.as_ref()?;
    let why = format!("is not signed as its namespace asks: {missing}");
    Some(("unsigned-generator", why))
}

fn name_of(stage: Stage) -> &'static str {
    match stage {
        Stage::Files => "files",
        Stage::Packages => "packages",
        Stage::Late => "late",
    }
}

/// The known word that was most likely meant.
fn nearest<'w>(word: &str, known: impl IntoIterator<Item = &'w str>) -> Option<&'w str> {
    // Comparing is quadratic in the length; a word of this length is no slip of the pen.
    if word.len() > 64 {
        return None;
    }
    // A slip in every third letter is still a slip; a swap of two neighbours counts as one.
    let most = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
