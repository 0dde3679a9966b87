//! A small universe, and the promises of the resolver in it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::*;

/// Solvables are numbered in the order of their adding; a name's own are tried in that order.
#[derive(Default)]
struct World {
    names: Vec<&'static str>,
    solvables: Vec<(Name, &'static str)>,
    candidates: BTreeMap<Name, Candidates>,
    dependencies: BTreeMap<Solvable, Dependencies>,
    asked: RefCell<Vec<Solvable>>,
    broken: Option<Name>,
}

// === impl World ===

impl World {
    fn name(&mut self, text: &'static str) -> Name {
        let found = self.names.iter().position(|known| *known == text);
        Name(found.unwrap_or_else(|| {
            self.names.push(text);
            self.names.len() - 1
        }) as u32)
    }

    fn add(&mut self, name: &'static str, version: &'static str) -> Solvable {
        let name = self.name(name);
        let solvable = Solvable(self.solvables.len() as u32);
        self.solvables.push((name, version));
        self.candidates
            .entry(name)
            .or_default()
            .solvables
            .push(solvable);
        solvable
    }

    fn install(&mut self, name: &'static str, version: &'static str) -> Solvable {
        let solvable = self.add(name, version);
        let candidates = self
            .candidates
            .get_mut(&self.solvables[solvable.0 as usize].0)
            .unwrap();
        candidates.installed = Some(solvable);
        candidates.favored = Some(solvable);
        solvable
    }

    fn choice(&self, solvables: &[Solvable]) -> Choice {
        Choice {
            name: self.solvables[solvables[0].0 as usize].0,
            solvables: solvables.to_vec(),
        }
    }

    fn link(&mut self, from: Solvable, link: Link, choices: &[&[Solvable]]) {
        let choices = choices.iter().map(|choice| self.choice(choice)).collect();
        self.dependencies
            .entry(from)
            .or_default()
            .requires
            .push(Dependency {
                link,
                label: 0,
                choices,
            });
    }

    fn needs(&mut self, from: Solvable, choices: &[&[Solvable]]) {
        self.link(from, Link::Depends, choices);
    }

    fn forbids(&mut self, from: Solvable, other: Solvable) {
        let choice = self.choice(&[other]);
        self.dependencies
            .entry(from)
            .or_default()
            .forbids
            .push((1, choice));
    }

    fn problem(&self, wishes: &[Solvable]) -> Problem<'static> {
        let installed = self
            .candidates
            .iter()
            .filter(|(_, candidates)| candidates.installed.is_some());
        Problem {
            wishes: wishes
                .iter()
                .map(|&wish| Wish {
                    label: 0,
                    choices: vec![self.choice(&[wish])],
                })
                .collect(),
            keep: installed.map(|(name, _)| *name).collect(),
            ..Problem::default()
        }
    }

    fn told(&self, wishes: &[Solvable]) -> Vec<(String, Reason)> {
        let answer = solve(self, &self.problem(wishes)).unwrap_or_else(|error| panic!("{error:?}"));
        let text = |solvable| {
            format!(
                "{}{}",
                self.describe_name(self.solvables[solvable as usize].0),
                self.describe_version(Solvable(solvable))
            )
        };
        answer
            .chosen
            .iter()
            .map(|chosen| (text(chosen.solvable.0), chosen.reason))
            .collect()
    }

    fn adds(&self, wishes: &[Solvable]) -> String {
        let mut words: Vec<String> = self
            .told(wishes)
            .into_iter()
            .map(|(text, _)| text)
            .collect();
        words.sort();
        words.join(" ")
    }
}

impl Universe for World {
    type Error = String;

    fn candidates(&self, name: Name) -> Result<Rc<Candidates>, String> {
        if self.broken == Some(name) {
            return Err("unreadable".to_owned());
        }
        Ok(Rc::new(
            self.candidates.get(&name).cloned().unwrap_or_default(),
        ))
    }

    fn dependencies(&self, solvable: Solvable) -> Result<Dependencies, String> {
        self.asked.borrow_mut().push(solvable);
        Ok(self
            .dependencies
            .get(&solvable)
            .cloned()
            .unwrap_or_default())
    }

    fn describe_name(&self, name: Name) -> String {
        self.names[name.0 as usize].to_owned()
    }

    fn describe_version(&self, solvable: Solvable) -> String {
        self.solvables[solvable.0 as usize].1.to_owned()
    }

    fn describe_dependency(&self, _: Option<Solvable>, label: u32) -> String {
        format!("relation {label}")
    }
}

#[test]
fn a_virtual_package_does_not_keep_its_providers_apart() {
    let mut world = World::default();
    let (a, x, y) = (
        world.add("a", "1"),
        world.add("x", "1"),
        world.add("y", "1"),
    );
    world.needs(a, &[&[x], &[y]]);
    assert_eq!(world.adds(&[a, x, y]), "a1 x1 y1");
}

#[test]
fn the_first_choice_that_fits_is_taken_and_only_what_may_be_chosen_is_asked() {
    let mut world = World::default();
    let (a, x, y, z) = (
        world.add("a", "1"),
        world.add("x", "1"),
        world.add("y", "1"),
        world.add("z", "1"),
    );
    world.needs(a, &[&[x], &[y]]);
    world.needs(x, &[]);
    assert_eq!(world.adds(&[a]), "a1 y1");
    assert!(!world.asked.borrow().contains(&z));
}

#[test]
fn what_is_installed_stays_until_something_needs_another_version() {
    let mut world = World::default();
    let (new, old) = (world.add("lib", "2"), world.install("lib", "1"));
    let (a, b) = (world.add("a", "1"), world.add("b", "1"));
    world.needs(a, &[&[old, new]]);
    world.needs(b, &[&[new]]);
    assert_eq!(world.adds(&[a]), "a1");
    assert_eq!(
        world.told(&[b])[1],
        ("lib2".to_owned(), Reason::UpgradeFor(b))
    );
}

#[test]
fn what_is_recommended_gives_way_and_is_shared() {
    let mut world = World::default();
    let (a, b, c, d) = (
        world.add("a", "1"),
        world.add("b", "1"),
        world.add("c", "1"),
        world.add("d", "1"),
    );
    world.link(a, Link::Recommends, &[&[b]]);
    world.link(a, Link::Recommends, &[&[c]]);
    world.forbids(b, a);
    world.needs(c, &[&[d]]);
    assert_eq!(
        world.told(&[a]),
        [
            ("a1".to_owned(), Reason::Requested(0)),
            ("c1".to_owned(), Reason::RecommendsOf(a)),
            ("d1".to_owned(), Reason::DependsOf(c)),
        ]
    );
}

#[test]
fn an_upgrade_that_a_conflict_forces_names_who_forces_it() {
    let mut world = World::default();
    let (new, old) = (world.add("lib", "2"), world.install("lib", "1"));
    let a = world.add("a", "1");
    world.forbids(a, old);
    assert_eq!(
        world.told(&[a]),
        [
            ("a1".to_owned(), Reason::Requested(0)),
            ("lib2".to_owned(), Reason::UpgradeFor(a))
        ]
    );
    assert_eq!(new, Solvable(0));
}

#[test]
fn nothing_that_is_installed_is_removed_unless_the_problem_lets_it() {
    let mut world = World::default();
    let old = world.install("old", "1");
    let a = world.add("a", "1");
    world.forbids(a, old);
    let SolveError::Refused(refusal) = solve(&world, &world.problem(&[a])).unwrap_err() else {
        panic!("refused otherwise")
    };
    assert!(
        refusal
            .to_string()
            .contains("a 1 rules out old 1 of the image (relation 1)"),
        "{refusal}"
    );
    assert_eq!(refusal.installed().len(), 1);
    let mut problem = world.problem(&[a]);
    problem.keep_if_possible = std::mem::take(&mut problem.keep);
    assert_eq!(solve(&world, &problem).unwrap().removed, [old]);
}

#[test]
fn a_wish_that_nothing_meets_is_refused_by_its_words() {
    let world = World::default();
    let mut problem = world.problem(&[]);
    problem.wishes.push(Wish {
        label: 7,
        choices: Vec::new(),
    });
    let error = solve(&world, &problem).unwrap_err().to_string();
    assert_eq!(error, "the request needs relation 7, which nothing meets");
}

#[test]
fn a_locked_solvable_is_the_only_one() {
    let mut world = World::default();
    let (new, old) = (world.add("lib", "2"), world.install("lib", "1"));
    let a = world.add("a", "1");
    world.needs(a, &[&[new]]);
    let name = world.solvables[old.0 as usize].0;
    world.candidates.get_mut(&name).unwrap().locked = Some(old);
    assert!(matches!(
        solve(&world, &world.problem(&[a])),
        Err(SolveError::Refused(_))
    ));
}

#[test]
fn a_stop_and_a_broken_universe_end_the_search() {
    let mut world = World::default();
    let (a, b) = (world.add("a", "1"), world.add("b", "1"));
    world.needs(a, &[&[b]]);
    let problem = Problem {
        stop: Some(&|| true),
        ..world.problem(&[a])
    };
    assert!(matches!(solve(&world, &problem), Err(SolveError::Stopped)));
    world.broken = Some(world.solvables[b.0 as usize].0);
    assert!(
        matches!(solve(&world, &world.problem(&[a])), Err(SolveError::Universe(error)) if error == "unreadable")
    );
}

proptest::proptest! {
    /// Random worlds: an answer meets everything it must, holds nothing twice, and is the same every time.
    #[test]
    fn an_answer_is_closed_minimal_in_versions_and_the_same_every_time(
        edges in proptest::collection::vec((0usize..12, 0usize..12, 0usize..12, 0u8..4), 0..40),
        wishes in proptest::collection::vec(0usize..12, 1..3),
    ) {
        const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
        let mut world = World::default();
        let all: Vec<Solvable> = (0..12)
            .map(|i| if i == 11 { world.install(NAMES[5], "1") } else { world.add(NAMES[i / 2], if i % 2 == 0 { "2" } else { "1" }) })
            .collect();
        for (from, to, or, kind) in edges {
            match kind {
                0 => if from / 2 != to / 2 { world.forbids(all[from], all[to]) },
                1 => world.link(all[from], Link::Recommends, &[&[all[to]]]),
                _ => world.needs(all[from], &[&[all[to]], &[all[or]]]),
            }
        }
        let wishes: Vec<Solvable> = wishes.into_iter().map(|wish| all[wish]).collect();
        let problem = world.problem(&wishes);
        let first = solve(&world, &problem);
        for _ in 0..3 {
            match (&first, solve(&world, &problem)) {
                (Ok(first), Ok(again)) => proptest::prop_assert_eq!(first, &again),
                (Err(SolveError::Refused(first)), Err(SolveError::Refused(again))) => proptest::prop_assert_eq!(first, &again),
                _ => proptest::prop_assert!(false, "solvable once and not again"),
            }
        }
        if let Ok(answer) = first {
            let mut here: BTreeMap<Name, Solvable> = BTreeMap::new();
            for chosen in &answer.chosen {
                proptest::prop_assert!(here.insert(chosen.name, chosen.solvable).is_none());
            }
            let installed = all[11];
            here.entry(world.solvables[11].0).or_insert(installed);
            for solvable in here.values() {
                let dependencies = world.dependencies.get(solvable).cloned().unwrap_or_default();
                let met = |choice: &Choice| here.get(&choice.name).is_some_and(|other| choice.solvables.contains(other));
                for dependency in dependencies.requires.iter().filter(|dependency| dependency.link == Link::Depends) {
                    proptest::prop_assert!(dependency.choices.iter().any(met));
                }
                proptest::prop_assert!(!dependencies.forbids.iter().any(|(_, choice)| met(choice)));
            }
            for wish in wishes {
                proptest::prop_assert!(here.values().any(|solvable| *solvable == wish));
            }
        }
    }
}
