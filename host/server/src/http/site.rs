//! The site: exported, applied, and changed one entity at a time. Every change goes through the same plan.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use axum::{Json, extract::State};
use cardinal_directory::Schema;
use cardinal_domain::{
    event::{EventBody, EventKind},
    names::{TraceId, UserName},
    plan::{self, Change, Line},
    site::{Reader, Site, SourceKind},
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    ApiError,
    extract::{Body, Path, Query},
};
use crate::{host::Host, readers};

/// How a site is to be applied.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApplyQuery {
    /// Only say what would be done.
    pub dry_run: bool,
    /// Also remove what the file does not name.
    pub prune: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize, Deserialize)]
pub struct Applied {
    /// Whether it was done.
    pub applied: bool,
    /// What differs, in the order in which it is carried out.
    pub lines: Vec<Line>,
}

pub(super) async fn export(State(host): State<Arc<Host>>) -> Result<Json<Site>, ApiError> {
    Ok(Json(host.services.store.site().await?))
}

pub(super) async fn apply(
    State(host): State<Arc<Host>>,
    Query(query): Query<ApplyQuery>,
    Body(wanted): Body<Value>,
) -> Result<Json<Applied>, ApiError> {
    let wanted = site(wanted)?;
    change(&host, query, |_| Ok(wanted)).await
}

pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Path(kind): Path<String>,
) -> Result<Json<Vec<Value>>, ApiError> {
    Ok(Json(entities(&host, &kind).await?))
}

pub(super) async fn show(
    State(host): State<Arc<Host>>,
    Path((kind, name)): Path<(String, String)>,
) -> Result<Json<Value>, ApiError> {
    find(&entities(&host, &kind).await?, &kind, &name).map(Json)
}

/// Adds one entity, or changes fields of one that is there: a field that is null goes, one that is not named stays.
pub(super) async fn patch(
    State(host): State<Arc<Host>>,
    Path((kind, name)): Path<(String, String)>,
    Query(query): Query<ApplyQuery>,
    Body(fields): Body<Map<String, Value>>,
) -> Result<Json<Applied>, ApiError> {
    known_kind(&kind)?;
    let name = folded(&kind, &name);
    change(&host, ApplyQuery { prune: false, ..query }, |current| {
        let mut entity = match value(current)?.get(&kind).and_then(Value::as_array) {
            Some(entities) => entities.iter().find(|entity| name_of(entity) == name).cloned(),
            None => None,
        }
        .unwrap_or_else(|| json!({ "name": name }));
        merge(&mut entity, fields);
        site(json!({ kind: [entity] }))
    })
    .await
}

/// RFC 7396: null takes a field away, an object changes an object, anything else replaces.
fn merge(into: &mut Value, fields: Map<String, Value>) {
    if !into.is_object() {
        *into = Value::Object(Map::new());
    }
    let Value::Object(into) = into else { return };
    for (key, value) in fields {
        match value {
            Value::Null => drop(into.remove(&key)),
            Value::Object(fields) => merge(into.entry(key).or_insert(Value::Null), fields),
            value => drop(into.insert(key, value)),
        }
    }
}

/// Removes one entity.
pub(super) async fn remove(
    State(host): State<Arc<Host>>,
    Path((kind, name)): Path<(String, String)>,
    Query(query): Query<ApplyQuery>,
) -> Result<Json<Applied>, ApiError> {
    known_kind(&kind)?;
    let name = folded(&kind, &name);
    change(&host, ApplyQuery { prune: true, ..query }, |current| {
        let synced = current.user.iter().filter(|user| kind == "user" && user.name.as_str() == name);
        let from = synced.filter_map(|user| Some(&user.origin.as_ref()?.source)).next();
        if let Some(from) = from.filter(|from| current.source.iter().any(|source| source.name == **from)) {
            return Err(ApiError::refused(format!(
                "user {name} comes from source {from}: remove them there, then `cardinal sync now --remove`"
            )));
        }
        let mut whole = value(current)?;
        let entities = whole.get_mut(&kind).and_then(Value::as_array_mut);
        let before = entities.as_ref().map_or(0, |entities| entities.len());
        let after = entities.map_or(0, |entities| {
            entities.retain(|entity| name_of(entity) != name);
            entities.len()
        });
        if before == after {
            return Err(ApiError::not_found(format!("there is no {kind} {name:?}")));
        }
        site(whole)
    })
    .await
}

/// The one way to change the site: plan, check, store, and let the sessions follow.
pub(super) async fn change(
    host: &Host,
    query: ApplyQuery,
    wanted: impl FnOnce(&Site) -> Result<Site, ApiError>,
) -> Result<Json<Applied>, ApiError> {
    let _applying = host.applying.lock().await;
    let services = &host.services;
    // Behind a lost connection the setup in memory may be an old one.
    services.store.refresh().await?;
    let planned_from = services.store.setup();
    let current = services.store.site().await?;
    let wanted = wanted(&current)?;
    let plan = plan::plan(&current, &wanted, query.prune).map_err(|error| ApiError::refused(error.to_string()))?;
    check_readers(host, &current, &plan.changes)?;
    if query.dry_run || plan.changes.is_empty() {
        return Ok(Json(Applied { applied: !query.dry_run, lines: plan.lines }));
    }
    let trace = TraceId::new();
    let event = |line: &Line| EventBody::new(trace, EventKind::SiteChanged, line.sentence());
    let events = plan.lines.iter().map(event).collect();
    if !services.store.apply_planned(Some(&planned_from), &plan.changes, events).await? {
        let message = "the database was away, and may have been changed meanwhile: nothing was done; try again";
        return Err(ApiError::conflict(message));
    }
    host.sessions.follow_setup().await;
    Ok(Json(Applied { applied: true, lines: plan.lines }))
}

/// What the pure plan cannot know: whether drivers, modes and settings fit, and whether two readers share an address.
fn check_readers(host: &Host, current: &Site, changes: &[Change]) -> Result<(), ApiError> {
    let services = &host.services;
    let mut problems = check_sources(host, changes);
    let mut after: BTreeMap<_, &Reader> = current.reader.iter().map(|reader| (&reader.name, reader)).collect();
    let mut changed = BTreeSet::new();
    for change in changes {
        match change {
            Change::PutReader(reader) => {
                after.insert(&reader.name, reader);
                changed.insert(&reader.name);
            }
            Change::RemoveReader(reader) => drop(after.remove(&reader.name)),
            _ => {}
        }
    }
    let mut ways = readers::Ways::default();
    for reader in after.values() {
        let is_changed = changed.contains(&reader.name);
        let way = match readers::check(&services.drivers, &services.config, reader) {
            Ok(prepared) if reader.enabled => prepared.way,
            // What was there before, and does not work, must not keep others from being changed.
            Err(problem) if is_changed => {
                problems.push(format!("reader {:?}: {problem}", reader.name.as_str()));
                continue;
            }
            _ => continue,
        };
        if let Some((other, problem)) = ways.add(way, &reader.name)
            && (is_changed || changed.contains(other))
        {
            problems.push(problem);
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(ApiError::refused(problems.join("\n"))) }
}

/// The same of sync sources: what their tables name has to be there.
fn check_sources(host: &Host, changes: &[Change]) -> Vec<String> {
    let locals = &host.services.config.directory;
    let mut problems = Vec::new();
    for change in changes {
        let Change::PutSource(source) = change else { continue };
        let known: Vec<&str> = match source.kind {
            SourceKind::File => locals.files.keys().map(String::as_str).collect(),
            SourceKind::Program => locals.programs.keys().map(String::as_str).collect(),
            SourceKind::ActiveDirectory | SourceKind::Ldap => vec![&source.from],
        };
        let (name, from) = (source.name.as_str(), source.from.as_str());
        if !known.contains(&from) {
            let near = cardinal_domain::nearest::nearest(from, &known);
            problems.push(format!(
                "source {name:?}: this host has no {} {from:?}{near}; name it in cardinal.toml under [directory.{}s]",
                source.kind, source.kind
            ));
        }
        problems
            .extend(Schema::problems(&source.schema).into_iter().map(|problem| format!("source {name:?}: {problem}")));
    }
    problems
}

const KINDS: [&str; 6] = ["source", "user", "printer", "queue", "device", "reader"];

fn known_kind(kind: &str) -> Result<(), ApiError> {
    if KINDS.contains(&kind) {
        Ok(())
    } else {
        Err(ApiError::not_found(format!("there is no kind {kind:?}; known: {}", KINDS.join(", "))))
    }
}

/// User names do not tell upper case from lower, nor one Unicode form from another.
fn folded(kind: &str, name: &str) -> String {
    let as_user = || UserName::new(name).map_or_else(|_| name.to_owned(), String::from);
    if kind == "user" { as_user() } else { name.to_owned() }
}

fn name_of(entity: &Value) -> &str {
    entity.get("name").and_then(Value::as_str).unwrap_or_default()
}

fn value(site: &Site) -> Result<Value, ApiError> {
    serde_json::to_value(site).map_err(|error| ApiError::refused(error.to_string()))
}

fn site(value: Value) -> Result<Site, ApiError> {
    serde_json::from_value(value).map_err(|error| ApiError::refused(error.to_string()))
}

async fn entities(host: &Host, kind: &str) -> Result<Vec<Value>, ApiError> {
    known_kind(kind)?;
    let mut stored = host.services.store.site().await?;
    // Left out, not starred: whoever sends back what was shown changes none of it.
    for source in &mut stored.source {
        source.password = None;
        source.domain.values_mut().for_each(|domain| domain.password = None);
    }
    for reader in &mut stored.reader {
        reader.token = None;
        for key in super::readers::secrets(host, reader) {
            reader.settings.remove(&key);
        }
    }
    let mut whole = value(&stored)?;
    let mut entities = whole.get_mut(kind).and_then(Value::as_array_mut).map(std::mem::take).unwrap_or_default();
    // As secret as a password, and nobody's to look at; the export has it, to be able to restore.
    for entity in entities.iter_mut().filter_map(Value::as_object_mut) {
        entity.remove("password_hash");
        entity.remove("pin");
    }
    Ok(entities)
}

fn find(entities: &[Value], kind: &str, name: &str) -> Result<Value, ApiError> {
    let name = folded(kind, name);
    entities.iter().find(|entity| name_of(entity) == name).cloned().ok_or_else(|| {
        let known: Vec<_> = entities.iter().map(name_of).collect();
        ApiError::not_found(format!("there is no {kind} {name:?}{}", cardinal_domain::nearest::nearest(&name, &known)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_what_it_names_alone() {
        let mut entity = json!({ "name": "r", "device": "d", "settings": { "a": 1, "b": 2 } });
        let Value::Object(fields) = json!({ "device": null, "settings": { "a": 3, "b": null }, "link": { "x": 1 } })
        else {
            unreachable!()
        };
        merge(&mut entity, fields);
        assert_eq!(entity, json!({ "name": "r", "settings": { "a": 3 }, "link": { "x": 1 } }));
    }
}
