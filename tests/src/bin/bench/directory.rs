//! 100,000 people and 400 groups in an OpenLDAP: how long it takes to read them all page by page and do nothing with them,
//! which is the floor of every sync.

use std::time::Instant;

use anyhow::Result;
use cardinal_tests::directory::{Company, OpenLdap};

use crate::table::Table;

const COMPANY: Company = Company { people: 100_000, groups: 400, members: 250, depth: 1 };
/// What a sync reads of a person.
const OF_PEOPLE: [&str; 5] = ["uid", "cn", "mail", "employeeNumber", "entryUUID"];
/// What it reads of a group.
const OF_GROUPS: [&str; 3] = ["cn", "member", "entryUUID"];
/// Entries a page.
const PAGE: i32 = 1_000;

pub(crate) async fn run(rounds: usize) -> Result<()> {
    let begun = Instant::now();
    let directory = OpenLdap::start(&COMPANY.entries()).await;
    println!(
        "{} people, {} groups of {}; OpenLDAP took them in within {:.1} s",
        COMPANY.people,
        COMPANY.groups,
        COMPANY.members,
        begun.elapsed().as_secs_f64()
    );
    let mut table = Table::new("", "ldap3");
    for _ in 0..rounds {
        let begun = Instant::now();
        let (mut people, mut groups) = (0, 0);
        let access = directory.ldaps();
        access.each(OpenLdap::PEOPLE, "(objectClass=inetOrgPerson)", &OF_PEOPLE, PAGE, |_| people += 1).await?;
        access.each(OpenLdap::GROUPS, "(objectClass=groupOfNames)", &OF_GROUPS, PAGE, |_| groups += 1).await?;
        anyhow::ensure!((people, groups) == (COMPANY.people, COMPANY.groups), "read {people} people, {groups} groups");
        table.add("all people and groups read over TLS", "s", None, begun.elapsed().as_secs_f64());
    }
    table.print();
    Ok(())
}
