//! Signing in with the Kerberos ticket that the host's user has: SASL GSSAPI (RFC 4752). Over TLS it only says who we are;
//! without TLS every message is sealed from then on.

use cardinal_domain::site::Security;
use cross_krb5::{ClientCtx, InitiateFlags, K5Ctx as _, Step};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{
    LdapError, Outcome,
    connection::Connection,
    message::{self, Body},
};

/// The largest sealed piece that is taken, in bytes. It is what is offered to the server.
const LARGEST: u32 = 0x00ff_ffff;
/// The layers (RFC 4752, 3.3): none, and sealing.
const NO_LAYER: u8 = 1;
const SEALING: u8 = 4;
/// The result code that asks for the next step (RFC 4511, appendix A).
const IN_PROGRESS: i64 = 14;
const DOING: &str = "signing in by Kerberos";

/// What seals messages after the sign-in.
pub(super) struct Seal {
    context: ClientCtx,
    /// What came and is not yet a whole piece.
    sealed: Vec<u8>,
}

impl Seal {
    /// A message as it goes over the wire.
    pub(super) fn wrap(&mut self, bytes: &[u8]) -> Result<Vec<u8>, LdapError> {
        let sealed = self.context.wrap(true, bytes).map_err(|error| failed("sealing failed", &error))?;
        let length = u32::try_from(sealed.len()).map_err(|_| LdapError::Protocol("a message is too long to seal"))?;
        let mut out = length.to_be_bytes().to_vec();
        out.extend_from_slice(&sealed);
        Ok(out)
    }

    /// Reads until there is something more in the buffer.
    pub(super) async fn fill(
        &mut self,
        io: &mut (impl AsyncRead + Unpin),
        buffer: &mut Vec<u8>,
    ) -> Result<(), LdapError> {
        loop {
            if let Some((head, rest)) = self.sealed.split_first_chunk::<4>() {
                let length = u32::from_be_bytes(*head);
                if length > LARGEST {
                    return Err(LdapError::TooMuch(format!("a sealed piece of {length} bytes")));
                }
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                if let Some(piece) = rest.get(..length) {
                    let open =
                        self.context.unwrap(piece).map_err(|error| failed("a piece is not sealed right", &error))?;
                    buffer.extend_from_slice(&open);
                    self.sealed.drain(..4 + length);
                    return Ok(());
                }
            }
            self.sealed.reserve(64 << 10);
            match io.read_buf(&mut self.sealed).await {
                Ok(0) => return Err(LdapError::Closed("end of the connection".into())),
                Ok(_) => {}
                Err(error) => return Err(LdapError::Closed(error.to_string())),
            }
        }
    }
}

fn failed(what: &str, error: &dyn std::fmt::Display) -> LdapError {
    LdapError::Kerberos(format!(
        "{what} ({error:#}): check that the host's user has a ticket (klist), that the server is named as in its principal \
         ldap/…, and that the clocks agree"
    ))
}

/// Signs in.
pub(super) async fn sign_in(connection: &mut Connection, host: &str, security: Security) -> Result<(), LdapError> {
    let principal = format!("ldap/{host}");
    // The libraries read files and ask the key server while we wait.
    let begun = tokio::task::spawn_blocking(move || ClientCtx::new(InitiateFlags::empty(), None, &principal, None));
    let begun = begun.await.map_err(|error| failed("no ticket", &error))?;
    let (mut pending, token) = begun.map_err(|error| failed("no ticket", &error))?;
    let mut token = token.to_vec();
    let mut context = loop {
        let answer = step(connection, &token).await?;
        match pending.step(&answer).map_err(|error| failed("the server did not prove who it is", &error))? {
            Step::Finished((context, last)) => {
                token = last.map(|last| last.to_vec()).unwrap_or_default();
                break context;
            }
            Step::Continue((next, more)) => {
                pending = next;
                token = more.to_vec();
            }
        }
    };
    // The server says which layers it has, and we choose (RFC 4752, 3.1).
    let offer = step(connection, &token).await?;
    let offer = context.unwrap(&offer).map_err(|error| failed("the offer is not sealed right", &error))?;
    let layers = offer.first().copied().filter(|_| offer.len() == 4);
    let (layer, most) = if security == Security::Plain { (SEALING, LARGEST) } else { (NO_LAYER, 0) };
    if layers.is_none_or(|layers| layers & layer == 0) {
        return Err(LdapError::Kerberos("the server does not seal as it is needed here; use ldaps or starttls".into()));
    }
    let [_, most @ ..] = most.to_be_bytes();
    let choice: Vec<u8> = [layer].into_iter().chain(most).collect();
    let choice = context.wrap(false, &choice).map_err(|error| failed("sealing failed", &error))?;
    let (code, _) = exchange(connection, &choice).await?;
    if code.code != 0 {
        return Err(refused(code));
    }
    if layer == SEALING {
        connection.seal = Some(Seal { context, sealed: Vec::new() });
    }
    Ok(())
}

/// A step that the server answers with another one.
async fn step(connection: &mut Connection, token: &[u8]) -> Result<Vec<u8>, LdapError> {
    match exchange(connection, token).await? {
        (outcome, token) if outcome.code == IN_PROGRESS => Ok(token),
        (outcome, _) => Err(refused(outcome)),
    }
}

async fn exchange(connection: &mut Connection, token: &[u8]) -> Result<(Outcome, Vec<u8>), LdapError> {
    let id = connection.send(&message::sasl_bind("GSSAPI", token), &[], DOING).await?;
    let deadline = connection.deadline();
    match connection.answer(id, deadline, DOING).await? {
        Body::Bound(outcome, token) => Ok((outcome, token.to_vec())),
        _ => Err(LdapError::Protocol("a sign-in is answered by something else")),
    }
}

fn refused(outcome: Outcome) -> LdapError {
    LdapError::SignIn { name: "the host's Kerberos user".into(), outcome }
}
