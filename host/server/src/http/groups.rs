//! Groups of users, as the last sync left them.

use std::sync::Arc;

use axum::{Json, extract::State};
use cardinal_domain::names::{GroupName, SourceName, UserName};
use serde::{Deserialize, Serialize};

use super::{
    ApiError,
    extract::{Path, Query},
};
use crate::host::Host;

/// A group.
#[derive(Debug, Serialize, Deserialize)]
pub struct GroupView {
    pub name: GroupName,
    /// Where it came from.
    pub source: SourceName,
    /// How many members it has, those of groups inside it included.
    pub count: usize,
    /// Who they are; left out in the list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<UserName>,
}

/// Which groups.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct GroupQuery {
    /// Those that this user is in.
    user: Option<UserName>,
}

pub(super) async fn list(
    State(host): State<Arc<Host>>,
    Query(query): Query<GroupQuery>,
) -> Result<Json<Vec<GroupView>>, ApiError> {
    let mut groups = host.services.store.groups().await?;
    if let Some(user) = &query.user {
        groups.retain(|group| group.members.contains(user));
    }
    let view = |group: cardinal_domain::sync::Group| GroupView {
        name: group.name,
        source: group.origin.source,
        count: group.members.len(),
        members: Vec::new(),
    };
    Ok(Json(groups.into_iter().map(view).collect()))
}

pub(super) async fn show(State(host): State<Arc<Host>>, Path(name): Path<String>) -> Result<Json<GroupView>, ApiError> {
    let groups = host.services.store.groups().await?;
    let wanted = GroupName::new(&name).map_err(|error| ApiError::refused(error.to_string()))?;
    let known: Vec<_> = groups.iter().map(|group| group.name.as_str()).collect();
    let near = cardinal_domain::nearest::nearest(wanted.as_str(), &known);
    let group = groups.into_iter().find(|group| group.name == wanted);
    let group = group.ok_or_else(|| ApiError::not_found(format!("there is no group {:?}{near}", wanted.as_str())))?;
    let (source, count) = (group.origin.source, group.members.len());
    Ok(Json(GroupView { name: group.name, source, count, members: group.members }))
}
