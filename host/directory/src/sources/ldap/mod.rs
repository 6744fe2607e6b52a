//! LDAP (RFC 4511), as far as reading a directory needs it: a server is chosen, the way there secured, somebody signs in, and
//! searches are read page by page.
//!
//! Written for this crate, because a directory is somebody else's machine: a message is bounded before it is taken, bytes
//! that are not LDAP are an error and never a panic, and an entry of a hundred thousand members is parsed once, when all of
//! it is there.

pub(crate) mod ber;
mod connection;
pub(crate) mod dn;
pub(crate) mod entry;
mod error;
pub(crate) mod filter;
#[cfg(feature = "gssapi")]
mod kerberos;
pub(crate) mod message;
pub(crate) mod search;

use std::time::Duration;

use cardinal_domain::site::{Bind, Secret, Security};

use self::{
    connection::{Address, Connection},
    message::Body,
};
pub use self::{error::LdapError, filter::FilterError, message::Outcome};
use super::Trust;

/// How servers are reached, and who signs in.
#[derive(Debug, Clone)]
pub(crate) struct Access<'a> {
    /// The servers, in the order in which they are tried.
    pub(crate) servers: Vec<String>,
    pub(crate) security: Security,
    pub(crate) trust: &'a Trust,
    pub(crate) bind: Bind,
    pub(crate) bind_as: &'a str,
    pub(crate) password: Option<&'a Secret>,
    /// How long each step may take.
    pub(crate) patience: Duration,
}

/// A server at which somebody is signed in.
pub(crate) struct Session {
    /// As it is named in the settings.
    pub(crate) server: String,
    connection: Connection,
}

/// No server would have it: each with its reason.
#[derive(Debug)]
pub(crate) struct NoServer(pub(crate) Vec<(String, LdapError)>);

impl Access<'_> {
    /// Signs in at the first server that takes it. A server that cannot be reached, whose certificate is not believed, or that
    /// is busy, is passed over; a wrong password is not tried anywhere else.
    pub(crate) async fn open(&self) -> Result<Session, NoServer> {
        let mut failed = Vec::new();
        for server in &self.servers {
            match self.sign_in(server).await {
                Ok(connection) => return Ok(Session { server: server.clone(), connection }),
                Err(error) => {
                    tracing::warn!(%server, %error, "a directory server is passed over");
                    let go_on = error.is_of_this_server();
                    failed.push((server.clone(), error));
                    if !go_on {
                        break;
                    }
                }
            }
        }
        Err(NoServer(failed))
    }

    async fn sign_in(&self, server: &str) -> Result<Connection, LdapError> {
        const DOING: &str = "signing in";
        let address = Address::parse(server, self.security)?;
        // Looked at before anything is sent.
        let password = match (self.bind, self.password.map(Secret::reveal)) {
            (Bind::Simple, Some(password)) if !password.is_empty() && !self.bind_as.is_empty() => password,
            (Bind::Simple, _) => return Err(LdapError::EmptyPassword),
            _ => "",
        };
        let mut connection = Connection::open(&address, self.security, self.trust, self.patience).await?;
        let name = match self.bind {
            Bind::Simple => self.bind_as,
            Bind::Anonymous => "",
            Bind::Gssapi => {
                kerberos(&mut connection, &address.host, self.security).await?;
                return Ok(connection);
            }
        };
        let id = connection.send(&message::simple_bind(name, password), &[], DOING).await?;
        let deadline = connection.deadline();
        match connection.answer(id, deadline, DOING).await? {
            Body::Bound(outcome, _) if outcome.code == 0 => Ok(connection),
            Body::Bound(outcome, _) => Err(LdapError::SignIn { name: name.to_owned(), outcome }),
            _ => Err(LdapError::Protocol("a sign-in is answered by something else")),
        }
    }
}

#[cfg(feature = "gssapi")]
async fn kerberos(connection: &mut Connection, host: &str, security: Security) -> Result<(), LdapError> {
    kerberos::sign_in(connection, host, security).await
}

#[cfg(not(feature = "gssapi"))]
async fn kerberos(_: &mut Connection, _: &str, _: Security) -> Result<(), LdapError> {
    Err(LdapError::Kerberos(
        "this build knows no Kerberos: use bind = \"simple\", or a build with the feature gssapi (cargo build --features \
         gssapi, which needs MIT Kerberos and libclang)"
            .into(),
    ))
}

impl Session {
    /// Says good-bye.
    pub(crate) async fn close(self) {
        self.connection.close().await;
    }
}
