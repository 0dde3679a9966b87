//! How many steps a validator takes for a document: counted, without taking them.
//!
//! The count goes the way of the worst case: every alternative fails at its end, every pattern fits. It visits each schema as often as a validator would,
//! so it is itself bounded by its limit, and needs no memory but a stack of [`MAX_DEPTH`].

use std::collections::HashMap;

use serde_json::{Map, Value};

/// Steps of judging one document: a tenth of a second.
pub(super) const MAX_JUDGING: u64 = 4_000_000;
/// Steps of telling what is wrong with it, each of which may keep some three hundred bytes.
pub(super) const MAX_TELLING: u64 = 300_000;
/// Schemas that are applied within each other, those of deeper places of the document included: a validator's stack must bear them.
pub(super) const MAX_DEPTH: usize = 600;
/// Bytes of text that count as a step.
const TEXT: usize = 32;

/// What a schema applies where, without what it asks.
#[derive(Debug)]
pub(super) struct Outline(Vec<Node>);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Steps until it is known whether the document fits.
    pub judging: u64,
    /// Steps of finding every fault; much of it is kept until the end.
    pub telling: u64,
}

/// One schema. Numbers are places in the outline.
#[derive(Debug, Default)]
struct Node {
    /// Keywords, and values that are compared.
    own: u64,
    unique: bool,
    /// Applied to the same place.
    same: Vec<usize>,
    properties: HashMap<String, usize>,
    patterns: Vec<usize>,
    other_properties: Option<usize>,
    names: Option<usize>,
    first_items: Vec<usize>,
    other_items: Option<usize>,
    contains: Option<usize>,
    unevaluated: Vec<usize>,
}

/// Where the count is.
#[derive(Clone, Copy)]
struct Place<'a> {
    value: &'a Value,
    /// Bytes of its JSON Pointer.
    path: usize,
    depth: usize,
    /// Within alternatives a fault keeps a copy of what it is about.
    copied: bool,
}

struct Count<'a> {
    nodes: &'a [Node],
    visited: u64,
    sizes: HashMap<*const Value, u64>,
}

// === impl Outline ===

impl Outline {
    /// Of a schema that [`super::shape`] found to be in order.
    pub(super) fn of(root: &Value) -> Self {
        let mut plan = Plan {
            root,
            numbers: HashMap::new(),
            left: Vec::new(),
        };
        plan.number(root);
        let mut nodes = Vec::new();
        while let Some(schema) = plan.left.get(nodes.len()).copied() {
            let node = plan.node(schema);
            nodes.push(node);
        }
        Self(nodes)
    }

    /// None: it is past a limit.
    pub(super) fn cost(&self, document: &Value) -> Option<Cost> {
        let mut count = Count {
            nodes: &self.0,
            visited: 0,
            sizes: HashMap::new(),
        };
        let place = Place {
            value: document,
            path: 0,
            depth: 0,
            copied: false,
        };
        count.cost(0, place)
    }
}

/// Schemas in the order in which they get their nodes.
struct Plan<'a> {
    root: &'a Value,
    numbers: HashMap<*const Value, usize>,
    left: Vec<&'a Value>,
}

// === impl Plan ===

impl<'a> Plan<'a> {
    fn number(&mut self, schema: &'a Value) -> usize {
        let next = self.left.len();
        let number = *self.numbers.entry(schema).or_insert(next);
        if number == next {
            self.left.push(schema);
        }
        number
    }

    fn numbers(&mut self, schemas: impl IntoIterator<Item = &'a Value>) -> Vec<usize> {
        schemas.into_iter().map(|one| self.number(one)).collect()
    }

    fn node(&mut self, schema: &'a Value) -> Node {
        let mut node = Node {
            own: 1,
            ..Node::default()
        };
        let Value::Object(members) = schema else {
            return node;
        };
        for (name, value) in members {
            node.own += 1;
            match (name.as_str(), value) {
                ("allOf" | "anyOf" | "oneOf", Value::Array(all)) => {
                    node.same.extend(self.numbers(all))
                }
                ("if" | "then" | "else", _) => node.same.push(self.number(value)),
                // What it must not be is told with each fault.
                ("not", _) => {
                    node.own += size(value);
                    node.same.push(self.number(value));
                }
                ("dependentSchemas" | "dependencies", Value::Object(all)) => {
                    node.same.extend(self.numbers(all.values()));
                }
                ("$ref", Value::String(reference)) => {
                    let target = reference
                        .strip_prefix('#')
                        .and_then(|pointer| self.root.pointer(pointer));
                    node.same.extend(target.map(|target| self.number(target)));
                }
                ("properties", Value::Object(all)) => {
                    node.own += all.len() as u64;
                    let numbered = all.iter().map(|(key, one)| (key.clone(), self.number(one)));
                    node.properties = numbered.collect();
                }
                ("patternProperties", Value::Object(all)) => {
                    node.patterns = self.numbers(all.values())
                }
                ("additionalProperties", _) => node.other_properties = Some(self.number(value)),
                ("propertyNames", _) => node.names = Some(self.number(value)),
                ("prefixItems" | "items", Value::Array(all)) => {
                    node.first_items.extend(self.numbers(all))
                }
                ("items", _) => node.other_items = Some(self.number(value)),
                ("contains", _) => node.contains = Some(self.number(value)),
                ("unevaluatedProperties" | "unevaluatedItems", _) => {
                    node.unevaluated.push(self.number(value))
                }
                ("uniqueItems", _) => node.unique = true,
                ("$defs" | "definitions", _) => {}
                // Values to compare with, texts to show.
                _ => node.own = node.own.saturating_add(size(value)),
            }
        }
        node
    }
}

// === impl Cost ===

impl Cost {
    fn add(&mut self, other: Self, times: u64) {
        self.judging = self
            .judging
            .saturating_add(other.judging.saturating_mul(times));
        self.telling = self
            .telling
            .saturating_add(other.telling.saturating_mul(times));
    }
}

// === impl Count ===

impl Count<'_> {
    fn cost(&mut self, number: usize, place: Place<'_>) -> Option<Cost> {
        self.visited += 1;
        if self.visited > MAX_JUDGING || place.depth > MAX_DEPTH {
            return None;
        }
        let nodes = self.nodes;
        let node = nodes.get(number)?;
        let mut cost = Cost::default();
        let own = node.own.saturating_mul(1 + breadth(place.value));
        cost.judging = own;
        cost.telling = own.saturating_mul(1 + steps(place.path));
        if place.copied {
            let copies = node.own.saturating_mul(self.size(place.value));
            cost.telling = cost.telling.saturating_add(copies);
        }
        if node.unique {
            cost.judging = cost.judging.saturating_add(16 * self.size(place.value));
        }
        let mut same = Cost::default();
        for one in &node.same {
            let inner = Place {
                depth: place.depth + 1,
                copied: true,
                ..place
            };
            same.add(self.cost(*one, inner)?, 1);
            within(same)?;
        }
        cost.add(same, 1);
        // Alternatives are judged before their faults are told.
        cost.telling = cost.telling.saturating_add(same.judging);
        match place.value {
            Value::Object(members) => self.members(node, members, same, place, &mut cost)?,
            Value::Array(items) => self.items(node, items, same, place, &mut cost)?,
            _ => {}
        }
        within(cost)
    }

    fn members(
        &mut self,
        node: &Node,
        members: &Map<String, Value>,
        same: Cost,
        place: Place<'_>,
        cost: &mut Cost,
    ) -> Option<()> {
        for (key, value) in members {
            let inner = place.inside(value, key.len());
            let named = node.properties.get(key);
            let other = node.other_properties.filter(|_| named.is_none());
            let applied = named
                .into_iter()
                .chain(&node.patterns)
                .chain(&other)
                .chain(&node.unevaluated);
            for one in applied {
                cost.add(self.cost(*one, inner)?, 1);
            }
            cost.judging = cost
                .judging
                .saturating_add(node.patterns.len() as u64 * (1 + steps(key.len())));
            if let Some(names) = node.names {
                let name = Value::String(key.clone());
                let inner = Place {
                    value: &name,
                    copied: true,
                    ..inner
                };
                cost.add(self.cost(names, inner)?, 2);
            }
            if !node.unevaluated.is_empty() {
                cost.add(same, 1);
            }
            within(*cost)?;
        }
        Some(())
    }

    fn items(
        &mut self,
        node: &Node,
        items: &[Value],
        same: Cost,
        place: Place<'_>,
        cost: &mut Cost,
    ) -> Option<()> {
        for (index, value) in items.iter().enumerate() {
            let inner = place.inside(value, 6);
            let first = node.first_items.get(index);
            let other = node.other_items.filter(|_| first.is_none());
            let applied = first
                .into_iter()
                .chain(&other)
                .chain(&node.contains)
                .chain(&node.unevaluated);
            for one in applied {
                cost.add(self.cost(*one, inner)?, 1);
            }
            if !node.unevaluated.is_empty() {
                cost.add(same, 1);
            }
            within(*cost)?;
        }
        Some(())
    }

    /// Steps of copying or comparing a value of the document.
    fn size(&mut self, value: &Value) -> u64 {
        let own = match value {
            Value::Array(_) | Value::Object(_) => value,
            leaf => return size(leaf),
        };
        if let Some(known) = self.sizes.get(&std::ptr::from_ref(own)) {
            return *known;
        }
        let total = match own {
            Value::Array(items) => items.iter().map(|item| self.size(item)).sum::<u64>(),
            Value::Object(members) => members.values().map(|item| self.size(item)).sum(),
            _ => 0,
        };
        let total = total + 1 + breadth(own);
        self.sizes.insert(own, total);
        total
    }
}

// === impl Place ===

impl<'a> Place<'a> {
    fn inside(self, value: &'a Value, token: usize) -> Self {
        Self {
            value,
            path: self.path + 1 + token,
            depth: self.depth + 1,
            ..self
        }
    }
}

fn within(cost: Cost) -> Option<Cost> {
    (cost.judging <= MAX_JUDGING).then_some(cost)
}

fn steps(bytes: usize) -> u64 {
    (bytes / TEXT) as u64
}

/// Steps of looking at a value, but not into it.
fn breadth(value: &Value) -> u64 {
    match value {
        Value::String(text) => steps(text.len()),
        Value::Object(members) => members.keys().map(|key| 1 + steps(key.len())).sum(),
        _ => 0,
    }
}

/// Steps of looking into all of a value.
fn size(value: &Value) -> u64 {
    let inner = match value {
        Value::Array(items) => items.iter().map(size).sum(),
        Value::Object(members) => members.values().map(size).sum(),
        _ => 0,
    };
    1 + breadth(value) + inner
}
