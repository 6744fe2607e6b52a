//! What goes wrong at an LDAP server, in words that say what to do.

use std::io;

use ldap3::LdapResult;

use super::filter::FilterError;

/// What went wrong at a server.
#[derive(Debug, thiserror::Error)]
pub enum LdapError {
    /// The server's name or port is not one.
    #[error("{0:?} is no server: write host, or host:port")]
    Address(String),
    /// Its name leads nowhere.
    #[error("its name cannot be resolved ({0}): check the name, and the name servers of this machine")]
    Name(io::Error),
    /// No connection.
    #[error("it cannot be reached ({0}): check the address, the port, and the firewalls on the way")]
    Connect(io::Error),
    /// It took too long.
    #[error("{doing} took longer than {seconds} s: check whether the server is overloaded, or set a larger timeout_s")]
    Timeout {
        /// What it was to do.
        doing: &'static str,
        /// How long that may take.
        seconds: u64,
    },
    /// No TLS, or a certificate that is not believed.
    #[error("TLS failed: {0}")]
    Tls(String),
    /// The connection ended.
    #[error("it closed the connection before the answer was whole ({0})")]
    Closed(String),
    /// What it says is no LDAP.
    #[error("what it answers is no LDAP ({0}): check the port, and whether security is ldaps, starttls or plain there")]
    Protocol(&'static str),
    /// More than anybody has.
    #[error("it answers with more than is taken: {0}")]
    TooMuch(String),
    /// A result code other than success.
    #[error("{}", told(.0))]
    Result(Outcome),
    /// Signing in failed.
    #[error("signing in as {name:?} failed: {}", told(outcome))]
    SignIn {
        /// Who.
        name: String,
        /// With what.
        outcome: Outcome,
    },
    /// A password that would make the sign-in an anonymous one (RFC 4513, 5.1.2).
    #[error("a sign-in needs a name and a password; without one of them servers take it for an anonymous one")]
    EmptyPassword,
    /// No Kerberos here, or not now.
    #[error("{0}")]
    Kerberos(String),
    /// A search that is none.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// Pages that do not hold together.
    #[error("{0}; nothing of it was used, read again")]
    Pages(String),
}

impl LdapError {
    /// Whether another server may do better. Not where the password is wrong: each try counts towards locking the account.
    pub(crate) fn is_of_this_server(&self) -> bool {
        match self {
            Self::SignIn { outcome, .. } => outcome.code != INVALID_CREDENTIALS,
            Self::EmptyPassword | Self::Filter(_) => false,
            _ => true,
        }
    }
}

/// How something ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result code (RFC 4511, appendix A).
    pub code: u32,
    /// What the server says to it.
    pub text: String,
}

impl Outcome {
    /// From the code, and what the server says to it.
    pub(super) fn new(code: u32, text: &[u8]) -> Self {
        Self { code, text: clean(text) }
    }
}

impl From<LdapResult> for Outcome {
    fn from(result: LdapResult) -> Self {
        Self::new(result.rc, result.text.as_bytes())
    }
}

/// What a server says, fit for a message: no control characters, and not too long.
pub(crate) fn clean(bytes: &[u8]) -> String {
    const LONGEST: usize = 300;
    // As nearly all of them are.
    if let Ok(text) = std::str::from_utf8(bytes)
        && text.len() <= LONGEST
        && !text.contains(char::is_control)
    {
        return text.trim().to_owned();
    }
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(4 * LONGEST)).unwrap_or(bytes));
    let words: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    words.trim().to_owned()
}

const INVALID_CREDENTIALS: u32 = 49;

/// An outcome in words: code, name, meaning, and what the server says itself.
fn told(outcome: &Outcome) -> String {
    let Outcome { code, text } = outcome;
    let (name, meaning) = meaning(*code);
    let meaning = if *code == INVALID_CREDENTIALS { sub_code(text).unwrap_or(meaning) } else { meaning };
    let said = if text.is_empty() { String::new() } else { format!(" (the server says {text:?})") };
    format!("result code {code}, {name}: {meaning}{said}")
}

/// Result codes (RFC 4511, appendix A).
fn meaning(code: u32) -> (&'static str, &'static str) {
    match code {
        1 => ("operationsError", "the server could not do it; Active Directory says so where nobody signed in"),
        2 => ("protocolError", "the server did not understand the request"),
        3 => {
            ("timeLimitExceeded", "the server's own time limit cut the answer off; raise it for the account that reads")
        }
        4 => {
            ("sizeLimitExceeded", "the server's own size limit cut the answer off; raise it for the account that reads")
        }
        7 => ("authMethodNotSupported", "the server does not know this way of signing in"),
        8 => ("strongerAuthRequired", "the server takes no password on an unprotected way; use ldaps or starttls"),
        10 => {
            ("referral", "somebody else has this part of the directory; name that server, referrals are not followed")
        }
        11 => ("adminLimitExceeded", "a limit of the server cut the answer off; raise it for the account that reads"),
        12 => ("unavailableCriticalExtension", "the server cannot give its answer page by page"),
        13 => ("confidentialityRequired", "the server takes nothing on an unprotected way; use ldaps or starttls"),
        14 => ("saslBindInProgress", "the sign-in did not end"),
        32 => ("noSuchObject", "there is no such entry; check the base and the units"),
        34 => ("invalidDNSyntax", "this is no distinguished name; check the base, the units, and who signs in"),
        48 => ("inappropriateAuthentication", "this account cannot sign in like that"),
        49 => ("invalidCredentials", "the name or the password is wrong"),
        50 => ("insufficientAccessRights", "the account that reads may not; give it the right to"),
        51 => ("busy", "the server has too much to do; try again later"),
        52 => ("unavailable", "the server is shutting down or starting; try again later"),
        53 => ("unwillingToPerform", "the server does not want to"),
        80 => ("other", "the server gives no reason"),
        _ => ("unusual", "only 0 is success"),
    }
}

/// Why Active Directory refused a sign-in: the number behind `data` in its diagnostic text, a Windows error code in
/// hexadecimal digits (MS-ERREF 2.2).
fn sub_code(text: &str) -> Option<&'static str> {
    let (_, behind) = text.split_once("data ")?;
    let code: String = behind.chars().take_while(char::is_ascii_hexdigit).collect();
    Some(match code.to_ascii_lowercase().as_str() {
        "525" => "there is no account of this name",
        "52e" => "the name or the password is wrong",
        "530" => "the account may not sign in at this time of day",
        "531" => "the account may not sign in from this machine",
        "532" => "the password has expired; set another, or let that of this account never expire",
        "533" => "the account is disabled",
        "701" => "the account has expired",
        "773" => "the password must be changed first; sign in once as this account and change it",
        "775" => "the account is locked after too many wrong passwords; unlock it, and check which password is stored",
        _ => return None,
    })
}

/// Why a handshake failed, and what to do.
pub(crate) fn tls(error: &io::Error) -> LdapError {
    use rustls::CertificateError as Wrong;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let advice = match inner {
        Some(rustls::Error::InvalidCertificate(wrong)) => match wrong {
            Wrong::Expired | Wrong::ExpiredContext { .. } => "its certificate has expired; renew it at the server",
            Wrong::NotValidYet | Wrong::NotValidYetContext { .. } => {
                "its certificate is not valid yet; check both clocks"
            }
            Wrong::NotValidForName | Wrong::NotValidForNameContext { .. } => {
                "its certificate is for another name; name the server as its certificate does"
            }
            Wrong::UnknownIssuer => {
                "no authority known here vouches for its certificate; add the one that made it to the file of \
                 directory.ca in cardinal.toml"
            }
            Wrong::BadSignature => {
                "its certificate was not made by the authority known here under that name; add the one that made it to the \
                 file of directory.ca in cardinal.toml"
            }
            Wrong::Revoked => "its certificate was revoked",
            _ => "its certificate is not believed",
        },
        Some(rustls::Error::InvalidMessage(_)) => {
            "it does not speak TLS there; check the port, and whether security should be starttls"
        }
        Some(_) => "the handshake did not come to an end",
        None => "the connection broke in the handshake; check the port, and whether security should be starttls",
    };
    LdapError::Tls(format!("{advice} ({error})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_fit_for_a_message() {
        assert_eq!(clean(b"80090308: \x1b[2J data 52e, v4f7c\x00"), "80090308:  [2J data 52e, v4f7c");
        assert_eq!(clean(&vec![b'x'; 5_000]).len(), 300);
    }

    #[test]
    fn active_directory_says_why_it_refuses() {
        let text = "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 775, v4563";
        let refused = |text: &str| told(&Outcome { code: 49, text: text.into() });
        assert!(refused(text).contains("invalidCredentials: the account is locked"), "{}", refused(text));
        assert!(refused("nothing").contains("name or the password is wrong"));
        assert!(refused(&text.replace("775", "999")).contains("name or the password is wrong"));
        assert!(refused(&text.replace("775", "532")).contains("has expired"));
        let error = |code| LdapError::SignIn { name: "x".into(), outcome: Outcome { code, text: String::new() } };
        assert!(!error(49).is_of_this_server() && error(52).is_of_this_server());
    }
}
