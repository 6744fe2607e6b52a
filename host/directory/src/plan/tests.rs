//! Examples of each rule, and properties over small worlds: names, keys and cards from a handful, so that they clash.

use std::collections::{BTreeMap, BTreeSet};

use cardinal_domain::{
    card::CardNumber,
    names::UserName,
    password::PinDigest,
    site::{Origin, User},
    sync::{Change, Group, Plan, Threshold},
};
use proptest::prelude::*;

use super::*;
use crate::snapshot::{self, Figures, Person, Scope, Snapshot};

/// What is on record, changed as a store changes it.
#[derive(Debug, Clone, Default, PartialEq)]
struct World {
    users: Vec<User>,
    groups: Vec<Group>,
}

impl World {
    fn record(&self) -> Record<'_> {
        Record { users: &self.users, groups: &self.groups }
    }

    /// All of a plan, with the checks that a database makes.
    fn apply(&self, plan: &Plan) -> Self {
        let mut users: BTreeMap<_, _> = self.users.iter().map(|user| (user.name.clone(), user.clone())).collect();
        let mut groups: BTreeMap<_, _> = self
            .groups
            .iter()
            .map(|group| {
                (group.name.clone(), (group.origin.clone(), group.members.iter().cloned().collect::<BTreeSet<_>>()))
            })
            .collect();
        let mut renames = BTreeMap::new();
        for change in &plan.changes {
            match change {
                Change::RemoveUser { user, .. } => {
                    assert_eq!(users.remove(&user.name).as_ref(), Some(&**user));
                    for (_, members) in groups.values_mut() {
                        members.remove(&user.name);
                    }
                }
                Change::RenameUser { from, to, .. } => drop(renames.insert(from.clone(), to.clone())),
                _ => {}
            }
        }
        // All at once: names may go round in a circle.
        let moved: Vec<_> = renames.keys().map(|from| users.remove(from).expect("a rename of nobody")).collect();
        for (user, to) in moved.into_iter().zip(renames.values()) {
            assert!(users.insert(to.clone(), User { name: to.clone(), ..user }).is_none(), "{to} is taken");
        }
        for (_, members) in groups.values_mut() {
            *members = members.iter().map(|name| renames.get(name).unwrap_or(name).clone()).collect();
        }
        for change in &plan.changes {
            match change {
                Change::UpdateUser { before, after, .. } => {
                    assert_eq!(before.name, after.name);
                    assert_ne!(before, after);
                    assert_eq!(users.insert(after.name.clone(), (**after).clone()).as_ref(), Some(&**before));
                }
                Change::AddUser { user, .. } => {
                    assert!(users.insert(user.name.clone(), (**user).clone()).is_none(), "{} is taken", user.name);
                }
                Change::RemoveGroup { group, .. } => {
                    let (_, members) = groups.remove(&group.name).expect("a group that is not there");
                    // Those of users that went before are gone already.
                    assert!(members.iter().all(|member| group.members.contains(member)));
                }
                Change::ChangeGroup { from, from_origin, to, origin, .. } => {
                    let (old, members) = groups.remove(from).expect("a group that is not there");
                    assert_eq!(old, *from_origin);
                    assert!(groups.insert(to.clone(), (origin.clone(), members)).is_none(), "group {to} is taken");
                }
                Change::AddGroup { group, .. } => {
                    let members = group.members.iter().cloned().collect();
                    assert!(groups.insert(group.name.clone(), (group.origin.clone(), members)).is_none());
                }
                Change::Members { group, left, joined, .. } => {
                    let (_, members) = groups.get_mut(group).expect("members of no group");
                    members.retain(|name| !left.contains(name));
                    assert!(joined.iter().all(|name| members.insert(name.clone())), "joined twice");
                }
                Change::RemoveUser { .. } | Change::RenameUser { .. } => {}
            }
        }
        let groups = groups.into_iter().map(|(name, (origin, members))| {
            assert!(members.iter().all(|member| users.contains_key(member)), "{name} has a member that is nobody");
            Group { name, origin, members: members.into_iter().collect() }
        });
        let world = Self { groups: groups.collect(), users: users.into_values().collect() };
        let mut cards = BTreeSet::new();
        assert!(world.users.iter().flat_map(User::cards).all(|card| cards.insert(card)), "a card with two owners");
        world
    }
}

fn pin(_: &UserName, pin: &str) -> PinDigest {
    format!("hmac-sha256:{pin:0>64}").try_into().unwrap()
}

fn options() -> Options {
    Options { remove: true, ..Options::of(&BTreeMap::new(), true) }
}

fn planned(world: &World, snapshots: &[Snapshot], options: &Options) -> Plan {
    plan(world.record(), Said { snapshots, pin: &pin }, options)
}

fn snapshot(source: &str, people: Vec<Person>, groups: Vec<snapshot::Group>) -> Snapshot {
    Snapshot {
        source: source.parse().unwrap(),
        scope: Scope::Whole,
        people,
        groups,
        totals: Vec::new(),
        remarks: Vec::new(),
        figures: Figures::default(),
        mark: None,
    }
}

fn person(key: &str, name: &str, card: &str) -> Person {
    Person { key: key.into(), place: format!("cn={key}"), name: name.into(), card: card.into(), ..Person::default() }
}

fn group(name: &str, members: &[&str]) -> snapshot::Group {
    let members = members.iter().map(|key| (*key).into()).collect();
    snapshot::Group {
        key: format!("g-{}", name.to_lowercase()),
        place: format!("cn={name}"),
        name: name.into(),
        members,
    }
}

fn school(people: &[(&str, &str, &str)]) -> Snapshot {
    snapshot("school", people.iter().map(|(key, name, card)| person(key, name, card)).collect(), Vec::new())
}

fn told(plan: &Plan) -> String {
    plan.conflicts.iter().map(|conflict| format!("{} {}\n", conflict.about, conflict.message)).collect()
}

fn kinds(plan: &Plan) -> Vec<&'static str> {
    let kind = |change: &Change| match change {
        Change::RemoveUser { .. } => "remove",
        Change::RenameUser { .. } => "rename",
        Change::UpdateUser { .. } => "update",
        Change::AddUser { .. } => "add",
        Change::RemoveGroup { .. } => "remove group",
        Change::ChangeGroup { .. } => "change group",
        Change::AddGroup { .. } => "add group",
        Change::Members { .. } => "members",
    };
    plan.changes.iter().map(kind).collect()
}

fn synced(people: &[(&str, &str, &str)]) -> World {
    let world = World::default();
    world.apply(&planned(&world, &[school(people)], &options()))
}

#[test]
fn a_first_sync_adds_a_second_changes_nothing_and_a_third_removes() {
    let world = synced(&[("1", "Ada", "11"), ("2", "bob", "")]);
    assert_eq!(world.users[0].name.as_str(), "ada");
    assert_eq!(kinds(&planned(&world, &[school(&[("1", "ADA", "11"), ("2", "bob", "")])], &options())), [""; 0]);
    let gone = school(&[("1", "ada", "11")]);
    assert_eq!(kinds(&planned(&world, std::slice::from_ref(&gone), &options())), ["remove"]);
    for careful in [Options { remove: false, ..options() }, Options::nightly(&BTreeMap::new())] {
        assert_eq!(kinds(&planned(&world, std::slice::from_ref(&gone), &careful)), [""; 0]);
    }
    let changes = Snapshot { scope: Scope::Changes, ..gone };
    assert_eq!(kinds(&planned(&world, &[changes], &options())), [""; 0]);
}

#[test]
fn a_rename_is_a_rename_also_in_a_circle() {
    let world = synced(&[("1", "ada", "11"), ("2", "bob", "22")]);
    let after = world.apply(&planned(&world, &[school(&[("1", "bob", "11"), ("2", "ada", "22")])], &options()));
    let cards: Vec<_> = after.users.iter().map(|user| user.card.as_ref().unwrap().reveal()).collect();
    assert_eq!(cards, ["22", "11"]);
    // The name's holder is there still, and has it still: nothing is done.
    let mut world = synced(&[("1", "ada", "")]);
    world.users.push(User::new("local".parse().unwrap()));
    let plan = planned(&world, &[school(&[("1", "local", "")])], &options());
    assert!(plan.changes.is_empty() && told(&plan).contains("(so far ada) has this name now"), "{}", told(&plan));
}

#[test]
fn who_was_made_anew_under_the_same_name_is_the_same_user() {
    let world = synced(&[("1", "ada", "11")]);
    let plan = planned(&world, &[school(&[("9", "ada", "11")])], &options());
    assert_eq!(kinds(&plan), ["update"]);
    assert_eq!(world.apply(&plan).users[0].origin.as_ref().unwrap().key, "9");
}

#[test]
fn local_users_are_nobodys_but_ours() {
    let mut world = World::default();
    world.users.push(User { card: Some(CardNumber::new("11").unwrap()), ..User::new("ada".parse().unwrap()) });
    let said = [school(&[("1", "ada", "22"), ("2", "bob", "11")])];
    let plan = planned(&world, &said, &options());
    assert_eq!(kinds(&plan), ["add"]);
    assert!(told(&plan).contains("was made here"), "{}", told(&plan));
    assert!(told(&plan).contains("claimed by users ada and bob; ada has it and keeps it"), "{}", told(&plan));
    assert_eq!(world.apply(&plan).users[1].card, None);
    let plan = planned(&world, &said, &Options { take_over: true, ..options() });
    let after = world.apply(&plan);
    assert_eq!(after.users[0].card.as_ref().unwrap().reveal(), "22");
    assert_eq!(after.users[1].card.as_ref().unwrap().reveal(), "11", "free now");
    // Without a source, nobody is in none.
    assert_eq!(kinds(&planned(&world, &[], &options())), [""; 0]);
}

#[test]
fn one_name_in_two_entries_is_nobodys_and_touches_nobody() {
    let world = synced(&[("1", "ada", "11")]);
    for people in [&[("1", "ada", "11"), ("2", "Ada", "22")][..], &[("3", "ada", ""), ("2", "ADA", "")]] {
        let plan = planned(&world, &[school(people)], &options());
        assert!(plan.changes.is_empty() && told(&plan).contains("more than once: cn="), "{plan:?}");
    }
    // So does a name that is none, and one in another Unicode form.
    let plan = planned(&world, &[school(&[("1", "a/d/a", "11")])], &options());
    assert!(plan.changes.is_empty() && told(&plan).contains("left out"), "{plan:?}");
    let world = synced(&[("1", "jos\u{e9}", "")]);
    assert_eq!(kinds(&planned(&world, &[school(&[("1", "JOSE\u{301}", "")])], &options())), [""; 0]);
}

#[test]
fn the_primary_source_wins_field_by_field() {
    let ada = |key: &str, full_name: &str, office: &str| Person {
        full_name: full_name.into(),
        office: office.into(),
        ..person(key, "ada", "")
    };
    let primary = snapshot("school", vec![ada("1", "Ada L.", "")], Vec::new());
    let secondary = snapshot("staff", vec![ada("x", "Ada of the staff", "B2"), person("y", "eve", "")], Vec::new());
    let world = World::default();
    let world = world.apply(&planned(&world, &[primary, secondary.clone()], &options()));
    let ada = &world.users[0];
    assert_eq!((ada.full_name.as_str(), ada.office.as_str()), ("Ada L.", "B2"));
    assert_eq!(ada.origin.as_ref().unwrap().source.as_str(), "school");
    assert_eq!(world.users[1].origin.as_ref().unwrap().source.as_str(), "staff");
    // Gone from the primary one alone: not gone.
    let plan = planned(&world, &[snapshot("school", vec![person("0", "zoe", "")], Vec::new()), secondary], &options());
    assert_eq!(kinds(&plan), ["update", "add"]);
    assert!(
        matches!(&plan.changes[0], Change::UpdateUser { why, .. } if why.contains("was of school, is now of staff"))
    );
}

#[test]
fn a_card_of_two_stays_where_it_is_or_is_given_to_neither() {
    let world = World::default();
    let plan = planned(&world, &[school(&[("1", "ada", "11"), ("2", "bob", "11")])], &options());
    assert!(told(&plan).contains("card *** is claimed by users ada and bob; neither gets it"), "{}", told(&plan));
    assert!(world.apply(&plan).users.iter().all(|user| user.card.is_none()));
    let world = synced(&[("1", "ada", "11"), ("2", "bob", "22")]);
    let plan = planned(&world, &[school(&[("1", "ada", "11"), ("2", "bob", "11")])], &options());
    assert!(plan.changes.is_empty() && told(&plan).contains("ada has it and keeps it"), "{plan:?}");
    // Given from one to another, or in a circle, it is a change.
    let moved = world.apply(&planned(&world, &[school(&[("1", "ada", ""), ("2", "bob", "11")])], &options()));
    assert_eq!((&moved.users[0].card, moved.users[1].card.as_ref().unwrap().reveal()), (&None, "11"));
    assert_eq!(
        kinds(&planned(&world, &[school(&[("1", "ada", "22"), ("2", "bob", "11")])], &options())),
        ["update"; 2]
    );
    // What is no number changes nothing, and is not repeated.
    let plan = planned(&world, &[school(&[("1", "ada", "a@b"), ("2", "bob", "22-22")])], &options());
    assert!(plan.changes.is_empty(), "{plan:?}");
    assert!(told(&plan).contains("mail address") && !told(&plan).contains("22-22"), "{}", told(&plan));
}

#[test]
fn what_is_blank_stays_unless_it_is_said_otherwise() {
    let world = synced(&[("1", "ada", "11")]);
    let blank = [school(&[("1", "ada", "")])];
    assert_eq!(kinds(&planned(&world, &blank, &options())), [""; 0]);
    let clearing = planned(&world, &blank, &Options { clear_blank_cards: true, ..options() });
    assert_eq!(world.apply(&clearing).users[0].card, None);
    let kept = Options { update_cards: false, ..options() };
    assert_eq!(kinds(&planned(&world, &[school(&[("1", "ada", "99")])], &kept)), [""; 0]);
}

#[test]
fn groups_of_one_name_are_one_and_members_follow_renames() {
    let said = |people: &[(&str, &str, &str)], groups| Snapshot { groups, ..school(people) };
    let first = said(&[("1", "ada", ""), ("2", "bob", "")], vec![group("Staff", &["1"]), group("STAFF", &["2", "?"])]);
    let world = World::default();
    let world = world.apply(&planned(&world, &[first], &options()));
    assert_eq!(world.groups.len(), 1);
    assert_eq!(world.groups[0].members.len(), 2);
    let second = said(&[("1", "ada.l", ""), ("2", "bob", "")], vec![group("staff", &["1"])]);
    let plan = planned(&world, &[second], &options());
    assert_eq!(kinds(&plan), ["rename", "members"], "{plan:?}");
    assert!(matches!(&plan.changes[1], Change::Members { left, joined, .. } if left.len() == 1 && joined.is_empty()));
    let plan = planned(&world, &[said(&[("1", "ada", ""), ("2", "bob", "")], Vec::new())], &options());
    assert_eq!(kinds(&plan), ["remove group"]);
    // There, and without a name that can be used: it is not gone.
    let nameless = snapshot::Group { name: String::new(), ..group("staff", &[]) };
    let plan = planned(&world, &[said(&[("1", "ada", ""), ("2", "bob", "")], vec![nameless])], &options());
    assert!(plan.changes.is_empty() && told(&plan).contains("left out"), "{plan:?}");
}

#[test]
fn too_much_is_held() {
    let many: Vec<_> = (0..100).map(|at| (at.to_string(), format!("u{at}"), format!("5{at}"))).collect();
    let said = |people: &[(String, String, String)]| {
        let people: Vec<_> = people.iter().map(|(a, b, c)| (a.as_str(), b.as_str(), c.as_str())).collect();
        school(&people)
    };
    let world = World::default();
    let first = planned(&world, &[said(&many)], &options());
    assert_eq!(first.held, [], "a first import is no loss");
    let world = world.apply(&first);
    assert_eq!(planned(&world, &[said(&many[..90])], &options()).held, [], "ten of a hundred are ten percent");
    let held = planned(&world, &[said(&many[..89])], &options()).held;
    assert_eq!((held[0].what, held[0].count, held[0].of), (Threshold::Removals, 11, 100));
    assert_eq!(
        held[0].to_string(),
        "11 of 100 users would be removed: 11 % is more than 10 % (user-source.limit.removals-percent)"
    );
    let none = Limits::from([(Threshold::Removals, Limit { most: 0, most_percent: 100 })]);
    let strict = Options { limits: none, ..options() };
    assert_eq!(planned(&world, &[said(&many[..99])], &strict).held[0].count, 1);
    let cards: Vec<_> = many.iter().map(|(a, b, c)| (a.clone(), b.clone(), format!("7{c}"))).collect();
    assert_eq!(planned(&world, &[said(&cards)], &options()).held[0].what, Threshold::ChangedCards);
}

#[test]
fn a_digest_names_a_plan() {
    let world = World::default();
    let of = |people: &[(&str, &str, &str)]| digest(&planned(&world, &[school(people)], &options()));
    assert_eq!(of(&[("1", "ada", ""), ("2", "bob", "")]), of(&[("2", "bob", ""), ("1", "ada", "")]));
    assert_ne!(of(&[("1", "ada", "")]), of(&[("1", "ada", "11")]));
    assert_eq!(of(&[]).len(), 64);
}

// Small worlds ---------------------------------------------------------------------------------------------------------

fn a_person() -> impl Strategy<Value = Person> {
    const NAMES: &[&str] = &["a", "b", "c", "d", "B", "no/name"];
    const CARDS: &[&str] = &["", "", "1", "2", "3", "x@y"];
    let (name, card) = (proptest::sample::select(NAMES), proptest::sample::select(CARDS));
    (0..6_u8, name, card.clone(), card, 0..3_u8).prop_map(|(key, name, card, second, office)| Person {
        second_card: second.into(),
        office: "x".repeat(office.into()),
        ..person(&key.to_string(), name, card)
    })
}

fn a_snapshot(source: &'static str) -> impl Strategy<Value = Snapshot> {
    let members = proptest::collection::btree_set(0..6_u8, 0..5);
    let groups =
        proptest::collection::vec((0..3_u8, proptest::sample::select(&["g", "h", "G", ""][..]), members), 0..4);
    (proptest::collection::vec(a_person(), 0..6), groups, proptest::bool::weighted(0.2)).prop_map(
        move |(people, groups, some)| {
            let mut keys = BTreeSet::new();
            let people = people.into_iter().filter(|person| keys.insert(person.key.clone())).collect();
            let mut keys = BTreeSet::new();
            let groups =
                groups.into_iter().filter(|(key, ..)| keys.insert(*key)).map(|(key, name, members)| snapshot::Group {
                    key: format!("g{key}"),
                    place: format!("cn=g{key}"),
                    name: name.into(),
                    members: members.into_iter().map(|member| member.to_string().into()).collect(),
                });
            let groups = groups.collect();
            let scope = if some { Scope::Changes } else { Scope::Whole };
            Snapshot { scope, ..snapshot(source, people, groups) }
        },
    )
}

fn said() -> impl Strategy<Value = Vec<Snapshot>> {
    (a_snapshot("p"), a_snapshot("s"), any::<bool>()).prop_map(|(p, s, two)| if two { vec![p, s] } else { vec![p] })
}

fn any_options() -> impl Strategy<Value = Options> {
    any::<[bool; 6]>().prop_map(|[update_details, update_cards, add, remove, take_over, clear_blank_cards]| Options {
        update_details,
        update_cards,
        add,
        remove,
        take_over,
        clear_blank_cards,
        ..options()
    })
}

fn locals() -> impl Strategy<Value = World> {
    proptest::collection::btree_map("[abe]", proptest::option::of("[13]"), 0..3).prop_map(|users| {
        let mut cards = BTreeSet::new();
        let user = |(name, card): (String, Option<String>)| User {
            card: card.filter(|card| cards.insert(card.clone())).map(|card| CardNumber::new(&card).unwrap()),
            ..User::new(name.parse().unwrap())
        };
        World { users: users.into_iter().map(user).collect(), groups: Vec::new() }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 20_000, ..ProptestConfig::with_cases(4_000) })]

    #[test]
    fn plans_hold_together(
        local in locals(),
        runs in proptest::collection::vec((said(), any_options()), 1..5),
    ) {
        let mut world = local.clone();
        for (said, options) in &runs {
            let plan = planned(&world, said, options);
            let sources: BTreeSet<_> = said.iter().map(|snapshot| snapshot.source.clone()).collect();
            for change in &plan.changes {
                if let Change::RemoveUser { user, .. } = change {
                    prop_assert!(options.remove && said.iter().all(|snapshot| snapshot.scope == Scope::Whole));
                    let Origin { source, key } = user.origin.clone().unwrap();
                    prop_assert!(sources.contains(&source));
                    let is_there = |snapshot: &Snapshot| {
                        snapshot.source == source && snapshot.people.iter().any(|person| person.key == key)
                    };
                    prop_assert!(!said.iter().any(is_there), "{user:?} is there");
                }
            }
            let after = world.apply(&plan);
            // Taken back, everything is as it was.
            prop_assert_eq!(changed_since(&plan, after.record(), 9), Vec::<String>::new());
            prop_assert_eq!(&after.apply(&reverse(&plan)), &world);
            // Done twice, nothing is left to do.
            let again = planned(&after, said, options);
            let settled = after.apply(&again);
            prop_assert!(planned(&settled, said, options).changes.is_empty() || again.changes.is_empty(), "{again:?}");
            if !options.take_over {
                for user in world.users.iter().filter(|user| user.origin.is_none()) {
                    prop_assert!(after.users.contains(user), "{user:?} is ours");
                }
            }
            world = after;
        }
    }
}

#[test]
fn what_somebody_else_has_by_now_is_not_taken_back() {
    let before = synced(&[("1", "ada", "11"), ("2", "bob", "22"), ("3", "eve", "33")]);
    let said = school(&[("1", "countess", "11"), ("2", "bob", "99")]);
    let plan = planned(&before, &[said], &options());
    let after = before.apply(&plan);
    assert_eq!(changed_since(&plan, after.record(), 9), Vec::<String>::new());
    for (name, card, told) in [
        ("eve", "", "user eve is there again"),
        ("ada", "", "user ada is there again"),
        ("local", "22", "a card that user bob had is local's by now"),
        ("local", "33", "a card that user eve had is local's by now"),
    ] {
        let mut world = after.clone();
        let mut local = User::new(name.parse().unwrap());
        local.second_card = (!card.is_empty()).then(|| CardNumber::new(card).unwrap());
        world.users.push(local);
        world.users.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(changed_since(&plan, world.record(), 9), [told]);
    }
    // Cards that change hands within the plan change them back.
    let swapped =
        planned(&before, &[school(&[("1", "ada", "22"), ("2", "bob", "11"), ("3", "eve", "33")])], &options());
    assert_eq!(kinds(&swapped), ["update", "update"]);
    assert_eq!(changed_since(&swapped, before.apply(&swapped).record(), 9), Vec::<String>::new());
}

/// Two sources, the secondary one of people with the same names.
fn staff(people: &[(&str, &str, &str)], groups: Vec<snapshot::Group>) -> Snapshot {
    let people = people.iter().map(|(key, name, card)| person(key, name, card)).collect();
    snapshot("staff", people, groups)
}

#[test]
fn who_was_not_looked_at_is_nobody_elses() {
    let world = synced(&[("1", "ada", "11")]);
    // A stranger of her name is new, and whether she is there still was not asked.
    let changes = Snapshot { scope: Scope::Changes, ..school(&[("9", "ada", "99")]) };
    let plan = planned(&world, &[changes], &options());
    assert!(plan.changes.is_empty() && told(&plan).contains("run `cardinal sync now`"), "{plan:?}");
    // The primary source tells of those who changed alone: what the secondary one says of others is not the whole word.
    let nobody = Snapshot { scope: Scope::Changes, ..school(&[]) };
    let plan = planned(&world, &[nobody, staff(&[("x", "ada", "77")], Vec::new())], &options());
    assert!(plan.changes.is_empty(), "{plan:?}");
}

#[test]
fn an_entry_without_a_name_keeps_its_user_from_the_secondary_source() {
    let world = synced(&[("1", "ada", "11")]);
    let plan = planned(&world, &[school(&[("1", "", "11")]), staff(&[("x", "ada", "77")], Vec::new())], &options());
    assert!(plan.changes.is_empty() && told(&plan).contains("under a name that cannot be used"), "{plan:?}");
}

#[test]
fn whoever_is_in_doubt_stays_in_their_groups() {
    let both =
        |primary: &[(&str, &str, &str)]| [school(primary), staff(&[("x", "ada", "")], vec![group("teachers", &["x"])])];
    let world = World::default();
    let world = world.apply(&planned(&world, &both(&[("1", "ada", "11")]), &options()));
    assert_eq!(world.groups[0].members.len(), 1);
    let plan = planned(&world, &both(&[("1", "ada", "11"), ("2", "ada", "")]), &options());
    assert!(plan.changes.is_empty(), "{plan:?}");
}

#[test]
fn no_group_stays_behind() {
    let people = || vec![person("1", "ada", "")];
    let named = |key: &str, name: &str| snapshot::Group { key: key.into(), ..group(name, &["1"]) };
    let world = World::default();
    let two = snapshot("school", people(), vec![named("k1", "staff"), named("k2", "workers")]);
    let world = world.apply(&planned(&world, &[two], &options()));
    // One takes the name of the other: they are one group, and the old name is nobody's.
    let merged = || snapshot("school", people(), vec![named("k1", "staff"), named("k2", "Staff")]);
    let after = world.apply(&planned(&world, &[merged()], &options()));
    assert_eq!(after.groups.iter().map(|group| group.name.as_str()).collect::<Vec<_>>(), ["staff"]);
    // Groups of a source that the site has no more.
    let plan = planned(&world, &[snapshot("other", people(), vec![named("k9", "guests")])], &options());
    assert_eq!(plan.changes.iter().filter(|change| matches!(change, Change::RemoveGroup { .. })).count(), 2);
    // One whose name cannot be read is there.
    let nameless = snapshot("school", people(), vec![named("k1", "staff"), named("k2", "")]);
    assert!(planned(&world, &[nameless], &options()).changes.is_empty());
}

#[test]
fn config_keys_say_what_is_done() {
    let with = |keys: &[(&str, &str)], remove| {
        let keys = keys.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Options::of(&keys, remove)
    };
    let card = |keys: &[(&str, &str)], text: &str| {
        let plan = planned(&World::default(), &[school(&[("1", "ada", text)])], &with(keys, false));
        let Change::AddUser { user, .. } = &plan.changes[0] else { panic!("{plan:?}") };
        (user.card.as_ref().map(|card| card.reveal().to_owned()), plan.conflicts.len())
    };
    let regex = ("user-source.card-no-regex", "^card:([0-9]+)$");
    assert_eq!(card(&[regex], "card:4711"), (Some("4711".into()), 0));
    assert_eq!(card(&[regex], "4711"), (None, 1));
    let mut second = school(&[("1", "ada", "")]);
    second.people[0].second_card = "x-12".into();
    let plan = planned(&World::default(), &[second], &with(&[("user-source.second-card-no-regex", "x-(.*)")], false));
    assert!(matches!(&plan.changes[0], Change::AddUser { user, .. } if user.second_card.is_some()), "{plan:?}");

    let world = synced(&[("1", "ada", "11")]);
    let mut other = school(&[("1", "ada", "22")]);
    other.people[0].full_name = "Ada".into();
    let fields = |keys: &[(&str, &str)]| {
        let plan = planned(&world, &[other.clone()], &with(keys, false));
        let update = |change: &Change| match change {
            Change::UpdateUser { after, .. } => {
                (after.full_name.clone(), after.card.as_ref().unwrap().reveal().to_owned())
            }
            other => panic!("{other:?}"),
        };
        plan.changes.first().map(update)
    };
    let (no_details, no_cards) =
        (("user-source.update-user-details", "N"), ("user-source.update-user-details-card-id", "N"));
    assert_eq!(fields(&[]), Some(("Ada".into(), "22".into())));
    assert_eq!(fields(&[no_details]), Some((String::new(), "22".into())));
    assert_eq!(fields(&[no_cards]), Some(("Ada".into(), "11".into())));
    assert_eq!(fields(&[no_details, no_cards]), None);
    let blank =
        planned(&world, &[school(&[("1", "ada", "")])], &with(&[("user-source.clear-blank-cards", "Y")], false));
    assert!(matches!(&blank.changes[0], Change::UpdateUser { after, .. } if after.card.is_none()), "{blank:?}");
    let night = Options::nightly(&[("user-source.import-new-users".to_owned(), "N".to_owned())].into());
    assert!(planned(&World::default(), &[school(&[("1", "ada", "")])], &night).changes.is_empty());
    let local = World { users: vec![User::new(UserName::new("ada").unwrap())], ..World::default() };
    assert!(planned(&local, &[school(&[("1", "ada", "")])], &with(&[], false)).changes.is_empty());
    let taken = with(&[("user-source.take-over-local-users", "Y")], false);
    assert_eq!(kinds(&planned(&local, &[school(&[("1", "ada", "")])], &taken)), ["update"]);

    let members: Vec<_> = (0..40).map(|at| (at.to_string(), format!("u{at}"))).collect();
    let people = || members.iter().map(|(key, name)| person(key, name, "")).collect::<Vec<_>>();
    let keys: Vec<_> = members.iter().map(|(key, _)| key.as_str()).collect();
    let world = World::default();
    let world = world.apply(&planned(&world, &[snapshot("school", people(), vec![group("all", &keys)])], &options()));
    let fewer = [snapshot("school", people(), vec![group("all", &keys[..20])])];
    let held = planned(&world, &fewer, &options()).held;
    assert_eq!(held.iter().map(|held| (held.what, held.count)).collect::<Vec<_>>(), [(Threshold::LostMemberships, 20)]);
    let more = with(&[("user-source.limit.lost-memberships-percent", "60")], true);
    assert!(planned(&world, &fewer, &more).held.is_empty());
}

#[test]
fn a_chain_of_denied_cards_is_settled_at_once() {
    // Each is given the card of the next, and the last one's field is no card: nobody gets another one.
    let many = 30_000;
    let text = |at: usize| format!("7{at:05}");
    let before: Vec<_> = (0..many).map(|at| (format!("{at}"), format!("u{at:05}"), text(at))).collect();
    let after = before
        .iter()
        .enumerate()
        .map(|(at, (key, name, _))| person(key, name, &if at + 1 == many { "@".to_owned() } else { text(at + 1) }));
    let world = World::default();
    let people = before.iter().map(|(key, name, card)| person(key, name, card)).collect();
    let world = world.apply(&planned(&world, &[snapshot("school", people, Vec::new())], &options()));
    let begun = std::time::Instant::now();
    let plan = planned(&world, &[snapshot("school", after.collect(), Vec::new())], &options());
    assert!(plan.changes.is_empty(), "{} changes", plan.changes.len());
    assert!(begun.elapsed().as_secs() < 20, "it grows with the square");
}
