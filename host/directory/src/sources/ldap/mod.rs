//! LDAP (RFC 4511), as far as reading a directory needs it: a server is chosen, the way there secured, somebody signs in, and
//! searches are read page by page.
//!
//! Messages are the library's, `ldap3`. This module owns what it leaves to its callers: when a server is passed over, how long
//! each step may take, whether pages hold together, and what went wrong in words.
//!
//! A directory is somebody else's machine, so that what it sends is bounded: the entries of a search, the length of a value,
//! the time of a page. The library bounds neither the length of one message (what comes within `timeout_s` is kept) nor how
//! deep a message is nested: some thousand levels are more than the stack of a thread, and end the process. So whoever calls this
//! does so in a process that may end, as the host does.

mod address;
pub(crate) mod dn;
mod driver;
pub(crate) mod entry;
pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod search;
mod starttls;

use std::time::Duration;

use cardinal_domain::site::{Bind, Secret, Security};
use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapResult, StdStream};
use tokio::time::timeout;

use self::{address::Address, driver::Driver};
pub use self::{
    error::{LdapError, Outcome},
    filter::FilterError,
};
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
    ldap: Ldap,
    driver: Driver,
    patience: Duration,
    /// Where the server says that more is, as it says it, each once.
    pub(crate) references: Vec<String>,
    /// Servers before it that would not have it, each with its reason.
    pub(crate) passed_over: Vec<(String, LdapError)>,
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
                Ok(session) => return Ok(Session { passed_over: failed, ..session }),
                Err(error) => {
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

    async fn sign_in(&self, server: &str) -> Result<Session, LdapError> {
        let address = Address::parse(server, self.security)?;
        // Looked at before anything is sent.
        let password = match (self.bind, self.password.map(Secret::reveal)) {
            (Bind::Simple, Some(password)) if !password.is_empty() && !self.bind_as.is_empty() => password.to_owned(),
            (Bind::Simple, _) => return Err(LdapError::EmptyPassword),
            (Bind::Anonymous | Bind::Gssapi, _) => String::new(),
        };
        if self.bind == Bind::Gssapi {
            can_kerberos(self.security)?;
        }
        let (connection, mut ldap) = self.connect(&address).await?;
        let driver = Driver::of(connection);
        let mut session = Session {
            server: server.to_owned(),
            ldap: ldap.clone(),
            driver,
            patience: self.patience,
            references: Vec::new(),
            passed_over: Vec::new(),
        };
        let name = match self.bind {
            Bind::Simple => self.bind_as.to_owned(),
            Bind::Anonymous => String::new(),
            Bind::Gssapi => "the host's Kerberos user".to_owned(),
        };
        let (bind, bound_as) = (self.bind, name.clone());
        // A task of its own: the answer is taken apart by the library where it is awaited, and what is malformed makes it panic.
        let answer = tokio::spawn(async move {
            match bind {
                Bind::Gssapi => kerberos(ldap, address.host).await,
                Bind::Simple | Bind::Anonymous => ldap.simple_bind(&bound_as, &password).await,
            }
        });
        let outcome = match timeout(self.patience, answer).await {
            Ok(Ok(Ok(result))) => Outcome::from(result),
            Ok(Ok(Err(error))) => return Err(session.failed(error, SIGNING_IN).await),
            Ok(Err(_)) => return Err(LdapError::Protocol("the answer to a sign-in is malformed")),
            Err(_) => return Err(session.too_slow(SIGNING_IN)),
        };
        if outcome.code == 0 { Ok(session) } else { Err(LdapError::SignIn { name, outcome }) }
    }

    /// Connects, and secures the way as it is asked for.
    async fn connect(&self, address: &Address) -> Result<(LdapConnAsync, Ldap), LdapError> {
        let late = |doing| LdapError::Timeout { doing, seconds: self.patience.as_secs() };
        // The library would tell a name that does not resolve, a server that is away and a handshake that fails alike.
        let mut tcp = address.connect(self.patience).await?;
        if self.security == Security::StartTls {
            timeout(self.patience, starttls::ask(&mut tcp)).await.map_err(|_| late("asking for TLS"))??;
        }
        let url = match self.security {
            // Nobody looks at the name any more.
            Security::Plain => "ldap://connected".to_owned(),
            // Here it is what the certificate is checked against.
            Security::Ldaps | Security::StartTls => format!("ldaps://{}", address.tls_name()?),
        };
        let tcp = tcp.into_std().map_err(LdapError::Connect)?;
        let settings = LdapConnSettings::new()
            .set_config(self.trust.0.clone())
            .set_conn_timeout(self.patience)
            .set_std_stream(StdStream::Tcp(tcp));
        LdapConnAsync::with_settings(settings, &url).await.map_err(|error| match error {
            ldap3::LdapError::Timeout { .. } => late("the TLS handshake"),
            ldap3::LdapError::Io { source } => error::tls(&source),
            _ => LdapError::Address(address.host.clone()),
        })
    }
}

const SIGNING_IN: &str = "signing in";

/// Whether Kerberos can be used there.
#[cfg(feature = "gssapi")]
fn can_kerberos(security: Security) -> Result<(), LdapError> {
    if security == Security::Plain {
        // Without TLS every message is sealed by Kerberos. Where several messages come in one sealed piece and the next piece
        // is on its way already, the library loses all but the first: users would be missing, and nobody would be told.
        return Err(LdapError::Kerberos(
            "a sign-in by Kerberos needs a way that is protected: set security = \"ldaps\" or \"starttls\"".into(),
        ));
    }
    Ok(())
}

#[cfg(not(feature = "gssapi"))]
fn can_kerberos(_: Security) -> Result<(), LdapError> {
    Err(LdapError::Kerberos(
        "this build knows no Kerberos: use bind = \"simple\", or a build with the feature gssapi (cargo build --features \
         gssapi, which needs MIT Kerberos and libclang)"
            .into(),
    ))
}

/// Signs in with the Kerberos ticket that the host's user has (RFC 4752), bound to the TLS connection (RFC 5929).
#[cfg(feature = "gssapi")]
async fn kerberos(mut ldap: Ldap, host: String) -> ldap3::result::Result<LdapResult> {
    let runtime = tokio::runtime::Handle::current();
    // The libraries read files and ask the key server while everybody on the same thread waits.
    let bound = tokio::task::spawn_blocking(move || runtime.block_on(ldap.sasl_gssapi_bind(&host)));
    bound.await.map_err(|error| ldap3::LdapError::GssapiOperationError(error.to_string()))?
}

#[cfg(not(feature = "gssapi"))]
async fn kerberos(_: Ldap, _: String) -> ldap3::result::Result<LdapResult> {
    // Refused before anybody connects.
    Err(ldap3::LdapError::EndOfStream)
}

impl Session {
    /// What went wrong, told by the library.
    async fn failed(&mut self, error: ldap3::LdapError, doing: &'static str) -> LdapError {
        use ldap3::LdapError as Theirs;
        match error {
            Theirs::Timeout { .. } => self.too_slow(doing),
            Theirs::LdapResult { result } => LdapError::Result(result.into()),
            #[cfg(feature = "gssapi")]
            Theirs::GssapiOperationError(error) => LdapError::Kerberos(format!(
                "Kerberos failed ({error}): check that the host's user has a ticket (klist), that the server is named as in \
                 its principal ldap/…, and that the clocks agree"
            )),
            #[cfg(feature = "gssapi")]
            Theirs::NoGssapiToken => LdapError::Protocol("a step of Kerberos is answered without a token"),
            // Whoever answers is gone.
            _ => self.driver.why().await,
        }
    }

    fn too_slow(&self, doing: &'static str) -> LdapError {
        LdapError::Timeout { doing, seconds: self.patience.as_secs() }
    }

    /// Says good-bye, if the server still listens.
    pub(crate) async fn close(mut self) {
        let _ = timeout(Duration::from_secs(1), self.ldap.unbind()).await;
    }
}
